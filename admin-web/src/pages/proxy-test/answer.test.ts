import { describe, expect, it } from 'vitest'
import type { Wire } from '@/wires'
import { AnswerReader, MOST_SHOWN } from './answer'

const frames = (...data: object[]) => data.map((json) => `data: ${JSON.stringify(json)}\n\n`).join('')

/** One text on each wire, with what no one reads around it. */
const STREAMS: Record<Wire, string> = {
  chat: frames(
    { choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] },
    { choices: [{ index: 0, delta: { content: 'grüße, ' } }, { index: 1, delta: { content: 'second choice' } }] },
    { choices: [{ index: 0, delta: { content: '世界 🦀' } }] },
    { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
    { choices: [], usage: { prompt_tokens: 3 } },
  ) + 'data: [DONE]\n\n',
  responses: frames(
    { type: 'response.created', response: { id: 'resp_1', error: null } },
    { type: 'response.output_text.delta', delta: 'grüße, ' },
    { type: 'response.output_text.delta', delta: '世界 🦀' },
    { type: 'response.output_text.done', text: 'grüße, 世界 🦀' },
  ),
  messages: `event: ping\n${frames(
    { type: 'message_start', message: { content: [] } },
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'hm' } },
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'grüße, ' } },
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: '世界 🦀' } },
    { type: 'message_stop' },
  )}`,
  gemini: frames(
    { candidates: [{ content: { parts: [{ text: 'hm', thought: true }, { text: 'grüße, ' }] } }] },
    { candidates: [{ content: { parts: [{ text: '世界 🦀' }] }, finishReason: 'STOP' }], usageMetadata: {} },
  ),
}

const WHOLES: Record<Wire, object> = {
  chat: { choices: [{ message: { content: 'grüße, 世界 🦀' } }] },
  responses: { output: [{ type: 'reasoning', summary: [] }, { type: 'message', content: [{ type: 'output_text', text: 'grüße, 世界 🦀' }] }] },
  messages: { type: 'message', content: [{ type: 'thinking', thinking: 'hm' }, { type: 'text', text: 'grüße, 世界 🦀' }] },
  gemini: { candidates: [{ content: { parts: [{ text: 'grüße, 世界 🦀' }] } }] },
}

function read(wire: Wire, body: string, contentType: string, size = Infinity) {
  const reader = new AnswerReader(wire, contentType)
  const bytes = new TextEncoder().encode(body)
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, Math.min(at + size, bytes.length)))
  reader.end()
  return { text: String(reader.text), raw: String(reader.raw), error: reader.error, hasContent: reader.hasContent, isCut: reader.raw.isCut }
}

describe.each(Object.keys(STREAMS) as Wire[])('an answer in the wire %s', (wire) => {
  it('reads the same however its bytes are cut, also within a character', () => {
    for (const size of [1, 2, 3, 5, 7, 64, Infinity]) {
      const answer = read(wire, STREAMS[wire], 'text/event-stream; charset=utf-8', size)
      expect(answer, `pieces of ${size}`).toEqual({ text: 'grüße, 世界 🦀', raw: STREAMS[wire], error: null, hasContent: true, isCut: false })
    }
  })

  it('reads as a whole', () => {
    const body = JSON.stringify(WHOLES[wire])
    expect(read(wire, body, 'application/json', 5)).toEqual({ text: 'grüße, 世界 🦀', raw: body, error: null, hasContent: true, isCut: false })
  })
})

describe('the first content', () => {
  it('is not the head of a stream', () => {
    const reader = new AnswerReader('chat', 'text/event-stream')
    const push = (json: object) => reader.push(new TextEncoder().encode(frames(json)))
    push({ choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] })
    expect(reader.hasContent).toBe(false)
    push({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0 }] } }] })
    expect(reader.hasContent).toBe(true)
  })
})

describe('an error of the wire', () => {
  it('is read from a body, in each wire’s form', () => {
    const error = (wire: Wire, body: unknown) => read(wire, JSON.stringify(body), 'application/json').error
    expect(error('chat', { error: { message: 'no such model', type: 'x' } })).toBe('no such model')
    expect(error('messages', { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } })).toBe('Overloaded')
    expect(error('gemini', [{ error: { code: 400, message: 'bad', status: 'INVALID_ARGUMENT' } }])).toBe('bad')
    expect(error('chat', { error: 'plain words' })).toBe('plain words')
    expect(error('chat', { error: { code: 7 } })).toBe('{"code":7}')
  })

  it('is read from the middle of a stream, with the text before it', () => {
    const of = (wire: Wire, ...data: object[]) => read(wire, frames(...data), 'text/event-stream')
    expect(of('messages', { type: 'content_block_delta', delta: { type: 'text_delta', text: 'so far' } }, { type: 'error', error: { message: 'Overloaded' } })).toMatchObject({ text: 'so far', error: 'Overloaded' })
    expect(of('responses', { type: 'response.failed', response: { error: { message: 'broke' } } }).error).toBe('broke')
    expect(of('responses', { type: 'error', message: 'stopped' }).error).toBe('stopped')
    expect(of('chat', { error: { message: 'stopped' } }).error).toBe('stopped')
  })

  it('is not read from what is no JSON', () => {
    expect(read('chat', '<html>Bad gateway</html>', 'text/html')).toMatchObject({ text: '', error: null, raw: '<html>Bad gateway</html>' })
    expect(read('chat', 'data: {"choices":\n\n', 'text/event-stream')).toMatchObject({ text: '', error: null })
  })
})

describe('what is kept of an answer', () => {
  it('is its end, and it says so', () => {
    const answer = read('chat', `${'x'.repeat(MOST_SHOWN)}the end`, 'text/plain')
    expect(answer.raw).toHaveLength(MOST_SHOWN)
    expect(answer.raw.endsWith('the end')).toBe(true)
    expect(answer.isCut).toBe(true)
  })
})
