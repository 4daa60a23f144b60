/** Account groups, with the accounts in them. */
import { get, getTagged, post, put, remove } from './client'
import type { Query, Schemas } from './types'

export type Group = Schemas['GroupView']
export type GroupInput = Schemas['GroupInput']

export const listGroups = (query: Query<'/api/admin/account-groups', 'get'>) => get('/api/admin/account-groups', { query })
export const readGroup = (id: string) => getTagged('/api/admin/account-groups/{id}', { names: { id } })
export const createGroup = (input: GroupInput) => post('/api/admin/account-groups', input)
export const updateGroup = (id: string, etag: string, input: GroupInput) =>
  put('/api/admin/account-groups/{id}', etag, input, { names: { id } })
export const deleteGroup = (id: string) => remove('/api/admin/account-groups/{id}', { names: { id } })

/** The first few whose name has the text in it. */
export async function searchGroups(search: string) {
  return (await listGroups({ search, limit: 20 })).account_groups
}

export async function namesOfGroups(ids: string[]) {
  const read = await Promise.allSettled(ids.map(async (id) => (await readGroup(id)).value))
  return read.filter((result) => result.status === 'fulfilled').map((result) => result.value)
}
