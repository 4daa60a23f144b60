/** Chat Completions, through `openai`. */
import assert from 'node:assert/strict'
import OpenAI from 'openai'

const ENDS = { stop: 'end', length: 'length', tool_calls: 'tools', content_filter: 'refusal' }

const isApiError = (error) => error instanceof OpenAI.APIError

export const chat = {
  name: 'chat',
  errors: {
    400: OpenAI.BadRequestError,
    401: OpenAI.AuthenticationError,
    403: OpenAI.PermissionDeniedError,
    404: OpenAI.NotFoundError,
    413: OpenAI.APIError,
    429: OpenAI.RateLimitError,
    500: OpenAI.InternalServerError,
  },
  isMidStreamError: isApiError,
  isCut: isApiError,
  /** What an upstream that is too busy is called. */
  overloaded: 503,

  client: ({ url, base_url = `${url}/v1`, key }) => new OpenAI({ baseURL: base_url, apiKey: key, maxRetries: 0 }),

  async ask(client, model, asked) {
    const completion = await client.chat.completions.create(body(model, asked))
    assert.equal(completion.object, 'chat.completion')
    assert.equal(completion.choices.length, 1)
    assert.ok(completion.id && completion.created)
    const { message } = completion.choices[0]
    return answer(completion, message.reasoning_content ?? '', message)
  },

  async stream(client, model, asked) {
    // The SDK's helper loses the names of custom tools: their chunks are put together here.
    if (asked.tools?.some((tool) => !tool.schema)) {
      const completion = joined(await this.chunks(client, model, asked, true))
      return answer(completion, '', completion.choices[0].message)
    }
    const stream = client.chat.completions.stream({
      ...body(model, asked),
      stream_options: { include_usage: true },
    })
    const seen = { pieces: 0, text: '', reasoning: '', details: [] }
    stream.on('chunk', (chunk) => note(chunk, seen))
    const completion = await stream.finalChatCompletion()
    const { message } = completion.choices[0]
    assert.equal(seen.text, message.content ?? '')
    const replay = { ...message, reasoning_content: seen.reasoning || undefined }
    if (seen.details.length) replay.reasoning_details = seen.details
    return { ...answer(completion, seen.reasoning, replay), pieces: seen.pieces }
  },

  /** All chunks, and what is known of usage in them, for a client that asks for usage or does not. */
  async chunks(client, model, asked, include_usage) {
    const options = include_usage ? { stream_options: { include_usage } } : {}
    const chunks = []
    for await (const chunk of await client.chat.completions.create({
      ...body(model, asked),
      ...options,
      stream: true,
    })) {
      chunks.push(chunk)
    }
    return chunks
  },
}

function body(model, asked) {
  const body = { model, messages: asked.turns.flatMap(turn) }
  if (asked.system) body.messages.unshift({ role: 'system', content: asked.system })
  if (asked.tools) {
    body.tools = asked.tools.map(({ name, description, schema }) =>
      schema
        ? { type: 'function', function: { name, description, parameters: schema } }
        : { type: 'custom', custom: { name, description } },
    )
  }
  if (asked.force) body.tool_choice = { type: 'function', function: { name: asked.force } }
  if (asked.choice) body.tool_choice = { any: 'required', none: 'none' }[asked.choice]
  if (asked.parallel === false) body.parallel_tool_calls = false
  if (asked.thinking) body.reasoning_effort = 'medium'
  if (asked.most) body.max_completion_tokens = asked.most
  if (asked.stop) body.stop = [asked.stop]
  if (asked.schema) {
    body.response_format = {
      type: 'json_schema',
      json_schema: { name: 'answer', strict: true, schema: asked.schema },
    }
  }
  return body
}

function turn({ user, system, answer, results }) {
  if (answer) return [answer.replay]
  if (system) return [{ role: 'system', content: system }]
  if (results) return results.map(({ call, text }) => ({ role: 'tool', tool_call_id: call.id, content: text }))
  return [{ role: 'user', content: typeof user === 'string' ? user : user.map(part) }]
}

function part({ text, image, imageUrl, pdf }) {
  if (image) return { type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } }
  if (imageUrl) return { type: 'image_url', image_url: { url: imageUrl } }
  if (pdf) return { type: 'file', file: { filename: 'report.pdf', file_data: `data:application/pdf;base64,${pdf}` } }
  return { type: 'text', text }
}

function joined(chunks) {
  const message = { role: 'assistant', content: '', tool_calls: [] }
  for (const { delta } of chunks.flatMap((chunk) => chunk.choices)) {
    message.content += delta.content ?? ''
    for (const { index, ...call } of delta.tool_calls ?? []) {
      if (call.id) message.tool_calls[index] = call
      else message.tool_calls[index].custom.input += call.custom.input
    }
  }
  if (!message.tool_calls.length) delete message.tool_calls
  const finished = chunks.find((chunk) => chunk.choices[0]?.finish_reason)
  const choice = { message, finish_reason: finished.choices[0].finish_reason }
  return { choices: [choice], usage: chunks.at(-1).usage, model: chunks.at(-1).model }
}

function note(chunk, seen) {
  const delta = chunk.choices[0]?.delta
  if (!delta) return
  seen.pieces += delta.content ? 1 : 0
  seen.text += delta.content ?? ''
  seen.reasoning += delta.reasoning_content ?? ''
  for (const detail of delta.reasoning_details ?? []) merge(seen.details, detail)
}

/** As clients of such servers do it: what has the same index is one entry, whose texts grow. */
function merge(details, detail) {
  const known = details.find((other) => other.index === detail.index && other.type === detail.type)
  if (!known) return void details.push({ ...detail })
  for (const [name, value] of Object.entries(detail)) {
    known[name] = ['text', 'summary', 'data'].includes(name) ? (known[name] ?? '') + value : value
  }
}

function answer({ choices: [choice], usage, model }, reasoning, replay) {
  const { message } = choice
  assert.equal(message.role, 'assistant')
  const calls = (message.tool_calls ?? []).map(({ id, type, custom, function: called }) =>
    type === 'custom'
      ? { id, name: custom.name, input: custom.input }
      : { id, name: called.name, input: JSON.parse(called.arguments) },
  )
  return {
    text: message.refusal ?? message.content ?? '',
    calls,
    reasoning,
    end: message.refusal ? 'refusal' : ENDS[choice.finish_reason],
    usage: usage && counts(usage),
    replay,
    model,
  }
}

function counts(usage) {
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
  return {
    input: usage.prompt_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    output: usage.completion_tokens,
    reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
  }
}
