/** What the server takes of a person, found wrong before it is asked. */
import { Problem } from '@/api/problem'

/** The last part of the key of what to say. Null, where one may come: nothing is wrong. */
export type Wrong = 'name' | 'passwordShort' | 'passwordLong' | 'passwordGuessable' | 'rate' | 'rateDigits' | 'rateHigh'

const MAX_NAME = 64
const MIN_PASSWORD = 12
const MAX_PASSWORD_BYTES = 256
const RATE_DIGITS = 6
const MAX_RATE_MILLIONTHS = 1_000n * 1_000_000n

export function wrongName(name: string): Wrong | null {
  return name.length <= MAX_NAME && /^[a-zA-Z\d][\w.+@-]*$/.test(name) ? null : 'name'
}

export function wrongPassword(password: string): Wrong | null {
  if ([...password].length < MIN_PASSWORD) return 'passwordShort'
  return new TextEncoder().encode(password).length > MAX_PASSWORD_BYTES ? 'passwordLong' : null
}

/** Fields of which the server has one thing to say, once they were looked at here, in the person's language. */
export function inWords(thrown: unknown, words: Record<string, string>): Problem {
  const problem = Problem.from(thrown)
  if (!problem.errors.some(({ field }) => field in words)) return problem
  return Problem.invalid(problem.errors.map(({ field, message }) => ({ field, message: words[field] ?? message })))
}

/** A rate is a decimal text from 0 to 1000 with six digits after its point at the most. */
export function wrongRate(rate: string): Wrong | null {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(rate)
  if (match === null) return 'rate'
  const digits = (match[2] ?? '').replace(/0+$/, '')
  if (digits.length > RATE_DIGITS) return 'rateDigits'
  return BigInt((match[1] ?? '') + digits.padEnd(RATE_DIGITS, '0')) > MAX_RATE_MILLIONTHS ? 'rateHigh' : null
}
