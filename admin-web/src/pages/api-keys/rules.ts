/** Keys: what their states mean, when they end, and who may change them. */
import type { ApiKey, KeyStatus } from '@/api/api-keys'
import type { Profile } from '@/api/session'

export const STATUSES: KeyStatus[] = ['active', 'disabled', 'expired']

export const TONES = { active: 'good', disabled: 'idle', expired: 'warn' } as const satisfies Record<KeyStatus, string>

const DAY_MS = 86_400_000
const DAYS = { month: 30, quarter: 90, year: 365 }

/** When a key ends: never, so long from now, or at a time of one's own. */
export const EXPIRIES = ['never', 'month', 'quarter', 'year', 'at'] as const
export type Expiry = (typeof EXPIRIES)[number]

/** A time of one's own begins as a month from now. */
export function expiresAt(expiry: Expiry, now: number): number | null {
  if (expiry === 'never') return null
  return now + DAYS[expiry === 'at' ? 'month' : expiry] * DAY_MS
}

/** What a time that was read is shown as. */
export function expiryOf(at: number | null): Expiry {
  return at === null ? 'never' : 'at'
}

/** The owner, and admins. */
export function mayChange(key: Pick<ApiKey, 'user_id'>, profile: Pick<Profile, 'id' | 'role'> | null) {
  return profile !== null && (key.user_id === profile.id || profile.role === 'admin')
}

/** Whose keys the list asks for: `view` is `all` or one's own, and a person that was picked comes first. */
export function ownerAsked(filters: { view?: string; user_id?: string }, own: string): string | undefined {
  return filters.user_id ?? (filters.view === 'all' ? undefined : own)
}
