/** From what the form holds to the body that each wire wants, and what is wrong with either. */
import type { Wire } from '@/wires'

/** What the form holds; numbers as they are typed, empty: left to the model. */
export interface Draft {
  wire: Wire
  model: string
  /** Empty: any account. */
  accountType: string
  stream: boolean
  maxTokens: string
  temperature: string
  topP: string
  system: string
  prompt: string
}

export type NumberField = 'maxTokens' | 'temperature' | 'topP'

const RANGES: Record<NumberField, { least: number; most: number; whole?: boolean }> = {
  maxTokens: { least: 1, most: 10_000_000, whole: true },
  temperature: { least: 0, most: 2 },
  topP: { least: 0, most: 1 },
}

/** Messages needs a limit. */
const MESSAGES_MAX_TOKENS = 1024

export function newDraft(wire: Wire, model: string): Draft {
  return { wire, model, accountType: '', stream: true, maxTokens: '256', temperature: '', topP: '', system: '', prompt: '' }
}

/** Undefined: left to the model. Null: not a number that may stand there. */
export function numberOf(field: NumberField, text: string): number | null | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return undefined
  const { least, most, whole } = RANGES[field]
  if (!/^\d+(\.\d+)?$/.test(trimmed) || (whole && trimmed.includes('.'))) return null
  const number = Number(trimmed)
  return number >= least && number <= most ? number : null
}

export function wrongNumbers(draft: Draft): NumberField[] {
  return (Object.keys(RANGES) as NumberField[]).filter((field) => numberOf(field, draft[field]) === null)
}

/** `type,model` asks for an account of that type. */
export function modelAsked({ accountType, model }: Pick<Draft, 'accountType' | 'model'>) {
  return accountType === '' ? model.trim() : `${accountType},${model.trim()}`
}

/** What of a draft every wire needs; JSON leaves out what is undefined. */
function parts(draft: Draft) {
  const number = (field: NumberField) => numberOf(field, draft[field]) ?? undefined
  return {
    model: modelAsked(draft),
    maxTokens: number('maxTokens'),
    temperature: number('temperature'),
    topP: number('topP'),
    system: draft.system.trim() === '' ? undefined : draft.system,
    prompt: draft.prompt,
    stream: draft.stream,
  }
}

type Parts = ReturnType<typeof parts>

const BUILDERS: Record<Wire, (given: Parts) => object> = {
  chat: ({ model, maxTokens, temperature, topP, system, prompt, stream }) => ({
    model,
    messages: [...(system === undefined ? [] : [{ role: 'system', content: system }]), { role: 'user', content: prompt }],
    max_completion_tokens: maxTokens, temperature, top_p: topP, stream,
  }),
  responses: ({ model, maxTokens, temperature, topP, system, prompt, stream }) => ({
    model, instructions: system, input: prompt, max_output_tokens: maxTokens, temperature, top_p: topP, stream,
  }),
  messages: ({ model, maxTokens, temperature, topP, system, prompt, stream }) => ({
    model, max_tokens: maxTokens ?? MESSAGES_MAX_TOKENS, system, messages: [{ role: 'user', content: prompt }], temperature, top_p: topP, stream,
  }),
  gemini: ({ maxTokens, temperature, topP, system, prompt }) => {
    const isSet = maxTokens !== undefined || temperature !== undefined || topP !== undefined
    return {
      systemInstruction: system === undefined ? undefined : { parts: [{ text: system }] },
      contents: [{ role: 'user', parts: [{ text: prompt }] }],
      generationConfig: isSet ? { maxOutputTokens: maxTokens, temperature, topP } : undefined,
    }
  },
}

/** The body as a person reads and edits it. */
export function bodyOf(draft: Draft): string {
  return JSON.stringify(BUILDERS[draft.wire](parts(draft)), null, 2)
}

/** What is wrong with an edited body: the parser's words, or empty words for JSON that is no object. Null: nothing. */
export function wrongBody(text: string): { said: string } | null {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? null : { said: '' }
  } catch (thrown) {
    return { said: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}
