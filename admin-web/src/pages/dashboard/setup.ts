/** The steps from an empty installation to the first request, and the filtered lists that numbers lead to. */
import type { AccountState } from '@/api/accounts'
import type { Role } from '@/stores/session'

export interface Setup {
  /** No request was ever made, as far as the reader sees. */
  isFresh: boolean
  /** Null: not the reader's business. */
  accounts: number | null
  hasKeys: boolean
}

export interface Step {
  name: 'account' | 'key' | 'try'
  isDone: boolean
  /** Null: someone else must do it. */
  to: string | null
}

export function stepsOf({ accounts, hasKeys }: Setup, role: Role): Step[] {
  const mayAdd = role === 'operator' || role === 'admin'
  const account: Step[] = accounts === null ? [] : [{ name: 'account', isDone: accounts > 0, to: mayAdd ? '/accounts/new' : null }]
  return [...account, { name: 'key', isDone: hasKeys, to: '/api-keys/new' }, { name: 'try', isDone: false, to: '/proxy-test' }]
}

/** The narrowest list of accounts that those in a state are in. */
export function accountsIn(state: AccountState): Record<string, string> {
  if (state === 'disabled') return { enabled: 'false' }
  if (state === 'paused' || state === 'expired') return { enabled: 'true' }
  return { enabled: 'true', status: state === 'invalid' ? 'invalid' : 'valid' }
}
