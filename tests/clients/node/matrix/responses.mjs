/** Responses, through `openai`. Nothing is stored: what is replayed is what came. */
import assert from 'node:assert/strict'
import { chat } from './chat.mjs'

export const responses = {
  name: 'responses',
  errors: chat.errors,
  isMidStreamError: chat.isMidStreamError,
  isCut: chat.isCut,
  overloaded: 503,
  client: chat.client,

  async ask(client, model, asked) {
    const response = await client.responses.create(body(model, asked))
    return answer(response, response.output)
  },

  async stream(client, model, asked) {
    const stream = client.responses.stream(body(model, asked))
    const seen = { pieces: 0, text: '', reasoning: '', input: '', numbers: [], ended: undefined }
    stream.on('event', (event) => note(event, seen))
    const response = await stream.finalResponse()
    assert.deepEqual(
      seen.numbers,
      seen.numbers.map((_, index) => index),
      'sequence numbers count from 0',
    )
    const read = answer(response, seen.ended.output)
    assert.equal(seen.text, read.text)
    assert.equal(seen.reasoning, read.reasoning)
    assert.equal(seen.input, response.output.map((item) => item.arguments ?? item.input ?? '').join(''))
    return { ...read, pieces: seen.pieces }
  },
}

function body(model, asked) {
  const body = { model, input: asked.turns.flatMap(turn), store: false }
  if (asked.system) body.instructions = asked.system
  if (asked.tools) {
    body.tools = asked.tools.map(({ name, description, schema }) =>
      schema
        ? { type: 'function', name, description, parameters: schema, strict: false }
        : { type: 'custom', name, description },
    )
  }
  if (asked.force) body.tool_choice = { type: 'function', name: asked.force }
  if (asked.choice) body.tool_choice = { any: 'required', none: 'none' }[asked.choice]
  if (asked.parallel === false) body.parallel_tool_calls = false
  if (asked.thinking) {
    body.reasoning = { effort: 'medium', summary: 'auto' }
    body.include = ['reasoning.encrypted_content']
  }
  if (asked.most) body.max_output_tokens = asked.most
  if (asked.schema) {
    body.text = { format: { type: 'json_schema', name: 'answer', strict: true, schema: asked.schema } }
  }
  return body
}

function turn({ user, system, answer, results }) {
  if (answer) return answer.replay
  if (system) return [{ role: 'developer', content: system }]
  if (results) {
    return results.map(({ call, text, image }) => ({
      type: typeof call.input === 'string' ? 'custom_tool_call_output' : 'function_call_output',
      call_id: call.id,
      output: image ? [part({ text }), part({ image })] : text,
    }))
  }
  return [{ role: 'user', content: typeof user === 'string' ? user : user.map(part) }]
}

function part({ text, image, imageUrl, pdf }) {
  if (image) return { type: 'input_image', image_url: `data:image/png;base64,${image}`, detail: 'auto' }
  if (imageUrl) return { type: 'input_image', image_url: imageUrl, detail: 'auto' }
  if (pdf) return { type: 'input_file', filename: 'report.pdf', file_data: `data:application/pdf;base64,${pdf}` }
  return { type: 'input_text', text }
}

const GROWS = {
  'response.output_text.delta': 'text',
  'response.refusal.delta': 'text',
  'response.reasoning_summary_text.delta': 'reasoning',
  'response.function_call_arguments.delta': 'input',
  'response.custom_tool_call_input.delta': 'input',
}
const LAST = ['response.completed', 'response.incomplete']

function note(event, seen) {
  assert.equal(seen.ended, undefined, `${event.type} after the end`)
  seen.numbers.push(event.sequence_number)
  const grows = GROWS[event.type]
  if (grows) seen[grows] += event.delta
  if (grows === 'text') seen.pieces += 1
  if (LAST.includes(event.type)) seen.ended = structuredClone(event.response)
}

const texts = (output, type, read) => output.filter((item) => item.type === type).flatMap(read).join('')

function answer(response, replay) {
  assert.equal(response.object, 'response')
  assert.ok(response.id && response.created_at)
  const { output } = response
  const said = output.filter((item) => item.type === 'message').flatMap((item) => item.content)
  const refused = said.some((part) => part.type === 'refusal')
  const calls = output
    .filter((item) => item.type.endsWith('tool_call') || item.type === 'function_call')
    .map((item) => ({ id: item.call_id, name: item.name, input: item.input ?? JSON.parse(item.arguments) }))
  return {
    text: said.map((part) => part.text ?? part.refusal).join(''),
    calls,
    reasoning: texts(output, 'reasoning', (item) => item.summary.map((part) => part.text)),
    end: end(response, refused, calls),
    usage: counts(response.usage),
    replay,
    model: response.model,
  }
}

function end({ status, incomplete_details }, refused, calls) {
  if (status === 'incomplete') {
    return { max_output_tokens: 'length', content_filter: 'refusal' }[incomplete_details.reason]
  }
  assert.equal(status, 'completed')
  if (refused) return 'refusal'
  return calls.length ? 'tools' : 'end'
}

function counts(usage) {
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens)
  return {
    input: usage.input_tokens,
    cached: usage.input_tokens_details.cached_tokens,
    output: usage.output_tokens,
    reasoning: usage.output_tokens_details.reasoning_tokens,
  }
}
