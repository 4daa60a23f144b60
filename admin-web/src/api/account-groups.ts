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
