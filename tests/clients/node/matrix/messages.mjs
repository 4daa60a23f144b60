/** Messages, through `@anthropic-ai/sdk`. */
import assert from 'node:assert/strict'
import Anthropic from '@anthropic-ai/sdk'
import { isOfTheConnection } from './outcome.mjs'

const ENDS = { end_turn: 'end', max_tokens: 'length', tool_use: 'tools', stop_sequence: 'sequence', refusal: 'refusal' }

export const messages = {
  name: 'messages',
  errors: {
    400: Anthropic.BadRequestError,
    401: Anthropic.AuthenticationError,
    403: Anthropic.PermissionDeniedError,
    404: Anthropic.NotFoundError,
    413: Anthropic.APIError,
    429: Anthropic.RateLimitError,
    500: Anthropic.InternalServerError,
  },
  isMidStreamError: (error) => error instanceof Anthropic.APIError,
  isCut: isOfTheConnection,
  overloaded: 529,

  client: ({ url, base_url = url, key }) => new Anthropic({ baseURL: base_url, apiKey: key, maxRetries: 0 }),

  async ask(client, model, asked) {
    return answer(await client.messages.create(body(model, asked)))
  },

  async stream(client, model, asked) {
    const stream = client.messages.stream(body(model, asked))
    const seen = { pieces: 0, text: '', reasoning: '' }
    stream.on('text', (delta) => {
      seen.pieces += 1
      seen.text += delta
    })
    stream.on('thinking', (delta) => (seen.reasoning += delta))
    const read = answer(await stream.finalMessage())
    assert.equal(seen.text, read.text)
    assert.equal(seen.reasoning, read.reasoning)
    return { ...read, pieces: seen.pieces }
  },

  async count(client, model, asked) {
    const { max_tokens, ...rest } = body(model, asked)
    assert.ok(max_tokens)
    return (await client.messages.countTokens(rest)).input_tokens
  },
}

function body(model, asked) {
  const body = { model, max_tokens: asked.most ?? 1024, messages: asked.turns.map(turn) }
  if (asked.system) body.system = asked.system
  if (asked.tools) {
    body.tools = asked.tools.map((tool) => ({
      name: tool.name,
      description: tool.description,
      input_schema: tool.schema,
    }))
  }
  if (asked.force) body.tool_choice = { type: 'tool', name: asked.force }
  if (asked.choice) body.tool_choice = { type: asked.choice }
  if (asked.parallel === false) body.tool_choice = { type: 'auto', disable_parallel_tool_use: true }
  if (asked.thinking) {
    body.max_tokens = 4096
    body.thinking = { type: 'adaptive' }
    body.output_config = { effort: 'medium' }
  }
  if (asked.stop) body.stop_sequences = [asked.stop]
  if (asked.schema) {
    body.output_config = { ...body.output_config, format: { type: 'json_schema', schema: asked.schema } }
  }
  return body
}

function turn({ user, system, answer, results }) {
  if (answer) return { role: 'assistant', content: answer.replay }
  if (system) return { role: 'system', content: system }
  const content = results?.map(({ call, text, image }) => ({
    type: 'tool_result',
    tool_use_id: call.id,
    content: image ? [part({ text }), part({ image })] : text,
  }))
  return { role: 'user', content: content ?? (typeof user === 'string' ? user : user.map(part)) }
}

function part({ text, image, imageUrl, pdf }) {
  if (image) return { type: 'image', source: { type: 'base64', media_type: 'image/png', data: image } }
  if (imageUrl) return { type: 'image', source: { type: 'url', url: imageUrl } }
  if (pdf) return { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: pdf } }
  return { type: 'text', text }
}

function answer(message) {
  assert.deepEqual([message.type, message.role], ['message', 'assistant'])
  assert.ok(message.id)
  const { content } = message
  const joined = (type, read) => content.filter((block) => block.type === type).map(read).join('')
  return {
    text: joined('text', (block) => block.text),
    calls: content
      .filter((block) => block.type === 'tool_use')
      .map(({ id, name, input }) => ({ id, name, input })),
    reasoning: joined('thinking', (block) => block.thinking),
    end: ENDS[message.stop_reason],
    sequence: message.stop_sequence ?? undefined,
    usage: counts(message.usage),
    replay: content,
    model: message.model,
  }
}

function counts(usage) {
  const read = usage.cache_read_input_tokens ?? 0
  const written = usage.cache_creation_input_tokens ?? 0
  return {
    input: usage.input_tokens + read + written,
    cached: read,
    written,
    output: usage.output_tokens,
    reasoning: usage.output_tokens_details?.thinking_tokens ?? 0,
  }
}
