/** Sums over time as the charts and their table show them: every hour or day is there, also those without requests. */
import type { UsageCounts } from '@/api/usage'

/** The last 24 hours by hour, or the last 30 days by day. */
export const PERIODS = ['day', 'month'] as const
export type Period = (typeof PERIODS)[number]

export interface Point {
  /** When the hour or the day begins, in milliseconds since 1970. */
  start: number
  counts: UsageCounts
}

const HOUR_MS = 3_600_000
const STEPS: Record<Period, { stepMs: number; count: number }> = {
  day: { stepMs: HOUR_MS, count: 24 },
  month: { stepMs: 24 * HOUR_MS, count: 30 },
}

/** The starts of a period's hours or days; the last one is under way. Days are UTC's, as the server sums them. */
export function startsOf(period: Period, now: number): number[] {
  const { stepMs, count } = STEPS[period]
  const last = Math.floor(now / stepMs) * stepMs
  return Array.from({ length: count }, (_, index) => last - (count - 1 - index) * stepMs)
}

/** A point for each start, with zeros where the server has nothing. */
export function filled(starts: number[], known: Point[], readsAll: boolean): Point[] {
  const byStart = new Map(known.map((point) => [point.start, point]))
  return starts.map((start) => byStart.get(start) ?? { start, counts: nothing(readsAll) })
}

function nothing(readsAll: boolean): UsageCounts {
  return {
    requests: 0, errors: 0, input_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0, cache_write_5m_tokens: 0, cache_write_1h_tokens: 0,
    output_tokens: 0, reasoning_tokens: 0, cost: '0', real_cost: readsAll ? '0' : undefined,
  }
}

/** The point's name on an axis and in the table. */
export function labelOf(period: Period, start: number, language: string): string {
  const form: Intl.DateTimeFormatOptions = period === 'day' ? { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } : { month: 'short', day: 'numeric', timeZone: 'UTC' }
  return new Intl.DateTimeFormat(language, form).format(start)
}

/** Errors in hundredths of the requests, for people; null: there were no requests. */
export function shareOf(errors: number, requests: number): string | null {
  if (requests === 0) return null
  const percent = (100 * errors) / requests
  return percent > 0 && percent < 0.1 ? '<0.1' : percent.toFixed(percent < 10 ? 1 : 0)
}
