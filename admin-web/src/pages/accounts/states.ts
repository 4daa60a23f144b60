/** What state an account is in, and how lists are asked for it. */
import type { Account, AccountQuery, AccountState, Mark } from '@/api/accounts'
import type { PageQuery } from '@/composables/usePagedList'

export type Tone = 'good' | 'warn' | 'bad' | 'idle'

/** As the server decides, the first that applies. */
export const TONES: Record<AccountState, Tone> = {
  available: 'good',
  rate_limited: 'warn',
  overloaded: 'warn',
  invalid: 'bad',
  expired: 'bad',
  paused: 'idle',
  disabled: 'idle',
}
export const STATES = Object.keys(TONES) as AccountState[]

export const FILTERS = ['search', 'type', 'group', 'status', 'enabled'] as const
export type Filter = (typeof FILTERS)[number]

/** Filters are texts in the address; the server knows them as what they are, and refuses others. */
export function queryOf({ status, enabled, ...rest }: PageQuery<Record<Filter, string>>): AccountQuery {
  const isValidity = status === 'valid' || status === 'invalid'
  const isFlag = enabled === 'true' || enabled === 'false'
  return { ...rest, ...(isValidity ? { status } : {}), ...(isFlag ? { enabled: enabled === 'true' } : {}) }
}

/** The mark that the account's state speaks of already. */
export function isTold(mark: Mark, { state }: Pick<Account, 'state'>) {
  return mark.kind === state && (mark.model_family ?? null) === null
}

/** A provider's HTTP status, unless the reason says it already. */
export function statusBeside({ reason, http_status }: { reason: string; http_status?: number | null }) {
  return http_status == null || reason === `status_${http_status}` ? null : http_status
}

/** As the server takes a reason for setting an account invalid. */
export function isReason(text: string) {
  return /^\w{1,64}$/.test(text)
}
