/** Numbers, money and times as people read them, in one place. */

/**
 * US dollars from a decimal string, never through a binary fraction: cents at least, and for what is less than a cent
 * as many digits as its first two that are not zero need.
 */
export function formatMoney(decimal: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal)
  if (match === null) return decimal
  const [, sign = '', whole = '0', fraction = ''] = match
  const zeros = /^0*/.exec(fraction)?.[0].length ?? 0
  const digits = whole !== '0' || zeros < 2 ? 2 : Math.min(zeros + 2, fraction.length)
  const rounded = roundAt(`${whole}${fraction.padEnd(digits + 1, '0')}`, digits, Math.max(fraction.length, digits + 1))
  return `${sign}$${group(rounded.whole)}.${rounded.fraction.replace(/(\d\d\d*?)0+$/, '$1').padEnd(2, '0')}`
}

/** Half up, at `digits` of the `scale` digits that stand behind the point. */
function roundAt(digitsText: string, digits: number, scale: number) {
  const unit = 10n ** BigInt(scale - digits)
  const value = (BigInt(digitsText) + unit / 2n) / unit
  const text = value.toString().padStart(digits + 1, '0')
  return { whole: text.slice(0, text.length - digits), fraction: text.slice(text.length - digits) }
}

function group(whole: string) {
  return whole.replace(/\B(?=(\d{3})+$)/g, ',')
}

const SCALES: [number, string][] = [[1e12, 'T'], [1e9, 'B'], [1e6, 'M'], [1e3, 'k']]

/** 1234567 as 1.23M; what is below ten thousand in full. */
export function formatCount(count: number): string {
  if (Math.abs(count) < 10_000) return group(String(Math.round(count)))
  // What would round to a thousand of one scale is one of the next.
  const [scale, letter] = SCALES.find(([scale]) => Math.abs(count) >= scale * 0.9995) ?? [1, '']
  const scaled = count / scale
  return `${scaled.toFixed(Math.abs(scaled) < 10 ? 2 : Math.abs(scaled) < 100 ? 1 : 0)}${letter}`
}

export function formatExactCount(count: number): string {
  return group(String(count))
}

/** Milliseconds as 850 ms, 1.2 s, 3 min 5 s. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`
  const seconds = Math.round(ms / 1_000)
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60)]
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`
}

export function formatTime(ms: number, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' }).format(ms)
}

const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [[86_400_000, 'day'], [3_600_000, 'hour'], [60_000, 'minute'], [1_000, 'second']]
/** Beyond this a date says more than a distance. */
const FAR_MS = 30 * 86_400_000

/** A distance such as "3 minutes ago", or the date of what is far. */
export function formatRelative(ms: number, now: number, language: string): string {
  const distance = ms - now
  if (Math.abs(distance) > FAR_MS) return new Intl.DateTimeFormat(language, { dateStyle: 'medium' }).format(ms)
  const [step, unit] = STEPS.find(([step]) => Math.abs(distance) >= step) ?? [1_000, 'second']
  return new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(Math.round(distance / step), unit)
}
