/** People. */
import { get, getTagged, post, put, remove } from './client'
import type { Query, Schemas } from './types'

export type User = Schemas['UserBody']

export const listUsers = (query: Query<'/api/admin/users', 'get'>) => get('/api/admin/users', { query })
export const readUser = (id: string) => getTagged('/api/admin/users/{id}', { names: { id } })
export const createUser = (input: Schemas['NewUser']) => post('/api/admin/users', input)
export const updateUser = (id: string, etag: string, change: Schemas['UserChange']) =>
  put('/api/admin/users/{id}', etag, change, { names: { id } })
export const endSessionsOfUser = (id: string) => remove('/api/admin/users/{id}/sessions', { names: { id } })
export const deleteUser = (id: string) => remove('/api/admin/users/{id}', { names: { id } })

/** The first few whose name has the text in it. */
export async function searchUsers(search: string) {
  return (await listUsers({ search, limit: 20 })).users
}

export async function namesOfUsers(ids: string[]) {
  const read = await Promise.allSettled(ids.map(async (id) => (await readUser(id)).value))
  return read.filter((result) => result.status === 'fulfilled').map((result) => result.value)
}
