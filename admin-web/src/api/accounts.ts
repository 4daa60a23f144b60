/** Upstream accounts, their types, and what nodes can do with them. */
import { get, getTagged, post, put, remove } from './client'
import type { Query, Schemas } from './types'

export type Account = Schemas['AccountView']
export type AccountInput = Schemas['AccountInput']
export type AccountQuery = Query<'/api/admin/accounts', 'get'>
export type AccountState = Schemas['AccountState']
export type AccountTypes = Schemas['AccountTypes']
export type AccountType = Schemas['Descriptor']
/** One field of an account's form, as the server describes it. */
export type Field = Schemas['Field']
export type Mark = Schemas['MarkView']
export type StateCounts = Schemas['StateCounts']
export type TestOutcome = Schemas['TestOutcome']
export type NodeOutcome = Schemas['NodeOutcome']

export const listAccountTypes = () => get('/api/admin/accounts/types')
export const listAccounts = (query: AccountQuery) => get('/api/admin/accounts', { query })
export const countAccounts = () => get('/api/admin/accounts/counts')
export const readAccount = (id: string) => getTagged('/api/admin/accounts/{id}', { names: { id } })
export const createAccount = (input: AccountInput) => post('/api/admin/accounts', input)
export const updateAccount = (id: string, etag: string, input: AccountInput) =>
  put('/api/admin/accounts/{id}', etag, input, { names: { id } })
export const deleteAccount = (id: string) => remove('/api/admin/accounts/{id}', { names: { id } })
export const setAccountStatus = (id: string, etag: string, change: Schemas['StatusChange']) =>
  put('/api/admin/accounts/{id}/status', etag, change, { names: { id } })
export const testAccount = (id: string, request: Schemas['TestRequest']) =>
  post('/api/admin/accounts/{id}/test', request, { names: { id } })

/** Whatever else of the account was changed meanwhile stays. */
export async function enableAccount(id: string, enabled: boolean) {
  const { etag } = await readAccount(id)
  return updateAccount(id, etag, { enabled })
}

/** The first few whose name has the text in it. */
export async function searchAccounts(search: string) {
  return (await listAccounts({ search, limit: 20 })).accounts
}

export async function namesOfAccounts(ids: string[]) {
  const read = await Promise.allSettled(ids.map(async (id) => (await readAccount(id)).value))
  return read.filter((result) => result.status === 'fulfilled').map((result) => result.value)
}
