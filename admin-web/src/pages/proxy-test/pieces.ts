/** What of a wire's JSON a person reads: its text, and what it says went wrong. */
import type { Wire } from '@/wires'

export interface Piece {
  text: string
  /** Something of the answer, be it text, thinking or a tool call: the first token has arrived. */
  isContent: boolean
  /** The wire's own error, in its words. */
  error: string | null
}

type Json = Record<string, unknown>

const at = (value: unknown, key: string): unknown => (typeof value === 'object' && value !== null ? (value as Json)[key] : undefined)
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const isFilled = (value: unknown) => value !== undefined && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0)

interface Reader {
  /** Of the data of one event. */
  delta: (json: unknown) => { text: string; isContent: boolean }
  /** Of an answer that came as a whole. */
  whole: (json: unknown) => string
}

function geminiParts(json: unknown) {
  return list(at(at(list(at(json, 'candidates'))[0], 'content'), 'parts'))
}

const geminiText = (json: unknown) => geminiParts(json).filter((part) => at(part, 'thought') !== true).map((part) => text(at(part, 'text'))).join('')

const READERS: Record<Wire, Reader> = {
  chat: {
    delta: (json) => {
      const delta = at(list(at(json, 'choices')).find((choice) => (at(choice, 'index') ?? 0) === 0), 'delta')
      const filled = ['content', 'refusal', 'reasoning_content', 'reasoning', 'tool_calls'].some((key) => isFilled(at(delta, key)))
      return { text: text(at(delta, 'content')) + text(at(delta, 'refusal')), isContent: filled }
    },
    whole: (json) => {
      const message = at(list(at(json, 'choices'))[0], 'message')
      return text(at(message, 'content')) + text(at(message, 'refusal'))
    },
  },
  responses: {
    delta: (json) => {
      const type = text(at(json, 'type'))
      const isText = type === 'response.output_text.delta' || type === 'response.refusal.delta'
      return { text: isText ? text(at(json, 'delta')) : '', isContent: type.endsWith('.delta') }
    },
    whole: (json) => {
      const parts = list(at(json, 'output')).filter((item) => at(item, 'type') === 'message').flatMap((item) => list(at(item, 'content')))
      return parts.map((part) => text(at(part, 'text')) + text(at(part, 'refusal'))).join('')
    },
  },
  messages: {
    delta: (json) => {
      const delta = at(json, 'delta')
      const isContent = at(json, 'type') === 'content_block_delta'
      return { text: isContent && at(delta, 'type') === 'text_delta' ? text(at(delta, 'text')) : '', isContent }
    },
    whole: (json) => list(at(json, 'content')).filter((block) => at(block, 'type') === 'text').map((block) => text(at(block, 'text'))).join(''),
  },
  gemini: {
    delta: (json) => ({ text: geminiText(json), isContent: geminiParts(json).length > 0 }),
    whole: (json) => (Array.isArray(json) ? json : [json]).map(geminiText).join(''),
  },
}

/** The error of any wire: they all have it under `error`, save the events of Responses. */
export function errorOf(json: unknown): string | null {
  const [first] = Array.isArray(json) ? (json as unknown[]) : [json]
  const error = at(first, 'error') ?? at(at(first, 'response'), 'error')
  if (typeof error === 'string') return error
  if (typeof error === 'object' && error !== null) return text(at(error, 'message')) || JSON.stringify(error)
  return at(first, 'type') === 'error' ? text(at(first, 'message')) || JSON.stringify(first) : null
}

/** One event's data; `[DONE]`, and what is no JSON, has nothing to read. */
export function pieceOf(wire: Wire, data: string): Piece {
  const json = parsed(data)
  return { ...READERS[wire].delta(json), error: errorOf(json) }
}

export function pieceOfWhole(wire: Wire, body: string): Piece {
  const json = parsed(body)
  const read = READERS[wire].whole(json)
  return { text: read, isContent: read !== '', error: errorOf(json) }
}

function parsed(source: string): unknown {
  try {
    return JSON.parse(source)
  } catch {
    return null
  }
}
