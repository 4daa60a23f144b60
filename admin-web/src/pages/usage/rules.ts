/** What the pages of usage make of a record and of what was asked for. */
import type { AllRecordQuery, Outcome, Purpose, UsageAttempt, UsageRecord } from '@/api/usage'

export const FILTERS = ['mine', 'range', 'from', 'to', 'purpose', 'outcome', 'failed', 'wire', 'model', 'key_id', 'user_id', 'account_id'] as const
export type Filter = (typeof FILTERS)[number]
/** Those of them that are a span of time. */
export type SpanFilter = 'range' | 'from' | 'to'

export const RANGES = ['hour', 'today', 'day', 'week', 'month', 'custom'] as const
export type Range = (typeof RANGES)[number]

/** Milliseconds since 1970; undefined: no bound. */
export interface Span {
  from?: number
  to?: number
}

const HOUR_MS = 3_600_000
const BACK_MS: Record<'hour' | 'day' | 'week' | 'month', number> = {
  hour: HOUR_MS, day: 24 * HOUR_MS, week: 7 * 24 * HOUR_MS, month: 30 * 24 * HOUR_MS,
}

/** The span that a range stands for at `now`; `from` and `to` are those of a custom one. No known range: no bounds. */
export function spanOf({ range, from, to }: { range: string; from: string; to: string }, now: number): Span {
  switch (range) {
    case 'hour': case 'day': case 'week': case 'month': return { from: now - BACK_MS[range] }
    case 'today': return { from: startOfDay(now) }
    case 'custom': return { from: timeOf(from), to: timeOf(to) }
    default: return {}
  }
}

/** Midnight, in the browser's zone. */
export function startOfDay(now: number): number {
  return new Date(now).setHours(0, 0, 0, 0)
}

/** A time in the address. */
export function timeOf(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** The filters when `range` is chosen: a custom one begins with the span that was shown before. */
export function chooseRange(range: string, before: Record<SpanFilter, string>, now: number) {
  if (range !== 'custom') return { range, from: '', to: '' }
  const span = spanOf(before, now)
  return { range, from: String(span.from ?? now - BACK_MS.day), to: span.to === undefined ? '' : String(span.to) }
}

/** What the server is asked with. Whoever sees only their own can't ask for someone else or for an account, and none of
 * theirs tests one. */
export function recordQuery(filters: Partial<Record<Filter, string>>, readsAll: boolean, now: number): AllRecordQuery {
  const { range = '', from = '', to = '', outcome, failed, wire, model, key_id, user_id, account_id, purpose } = filters
  const everyone = readsAll ? { user_id, account_id, purpose: purpose as Purpose } : {}
  return { ...spanOf({ range, from, to }, now), outcome: outcome as Outcome, failed: failed === 'true' || undefined, wire, model, key_id, ...everyone }
}

/** The names that a request's model went by, each that differs from the one before it. */
export function modelNames({ model_requested, model_mapped, model_served }: Pick<UsageRecord, 'model_requested' | 'model_mapped' | 'model_served'>): string[] {
  const names = [model_requested, model_mapped, model_served].filter((name) => name !== '')
  return names.filter((name, index) => name !== names[index - 1])
}

const LOSS = 'lost_'

/** What is particular about a record, and what conversions lost. Old records have their losses among the conditions, as `lost_…`. */
export function particularsOf({ conditions, losses }: Pick<UsageRecord, 'conditions' | 'losses'>): { conditions: string[]; losses: string[] } {
  const isLoss = (code: string) => code.startsWith(LOSS)
  const old = conditions.filter(isLoss).map((code) => code.slice(LOSS.length))
  return { conditions: conditions.filter((code) => !isLoss(code)), losses: [...new Set([...losses, ...old])] }
}

/** The groups that a request's accounts were in. */
export function groupsOf(attempts: readonly Pick<UsageAttempt, 'group_ids'>[]): string[] {
  return [...new Set(attempts.flatMap(({ group_ids }) => group_ids ?? []))]
}

export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'idle'

const TONES: Record<Outcome, Tone> = {
  open: 'info', completed: 'good', upstream_error: 'bad', client_gone: 'idle', cut_off: 'warn', refused: 'warn', unknown: 'idle',
}

export function outcomeTone(outcome: Outcome): Tone {
  return TONES[outcome]
}

/** Why an attempt failed, as the name of its explanation with what that names; null: nothing more is known of this code. */
export function reasonOf(code: string): { key: string; status?: number } | null {
  const status = Number(/^status_(\d{3})$/.exec(code)?.[1] ?? Number.NaN)
  if (!Number.isNaN(status)) return { key: statusReason(status), status }
  return REASONS.has(code) ? { key: code } : null
}

const REASONS = new Set([
  'unaddressable', 'unconvertible', 'private_address', 'connect', 'connect_timeout', 'first_byte_timeout', 'deadline', 'stall', 'cut', 'malformed', 'too_large',
  'stream_error', 'max_stream', 'stopped', 'revoked', 'attempt_timeout', 'no_answer', 'no_memory', 'panicked',
])

/** What the data plane makes of an upstream's status. */
function statusReason(status: number) {
  if (status >= 401 && status <= 403) return 'credential'
  if (status === 429) return 'rate_limited'
  if (status === 503 || status === 529) return 'overloaded'
  return status >= 400 && status < 500 && status !== 408 ? 'refused' : 'transient'
}

/** Where an attempt lies in its request, in milliseconds from the request's start and in hundredths of all of it. */
export function placeOf(attempt: Pick<UsageAttempt, 'started_at' | 'total_ms'>, record: Pick<UsageRecord, 'started_at' | 'total_ms' | 'attempts'>) {
  // Times of day and durations come from different clocks: nothing may lie outside.
  const begin = ({ started_at }: Pick<UsageAttempt, 'started_at'>) => Math.max(0, started_at - record.started_at)
  const all = Math.max(1, record.total_ms ?? 0, ...record.attempts.map((other) => begin(other) + other.total_ms))
  const offset = begin(attempt)
  return { offset, left: (100 * offset) / all, width: (100 * attempt.total_ms) / all }
}
