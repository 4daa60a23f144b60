/** People. */
import { get, getTagged } from './client'
import type { Query, Schemas } from './types'

export type User = Schemas['UserBody']

export const listUsers = (query: Query<'/api/admin/users', 'get'>) => get('/api/admin/users', { query })
export const readUser = (id: string) => getTagged('/api/admin/users/{id}', { names: { id } })

/** The first few whose name has the text in it. */
export async function searchUsers(search: string) {
  return (await listUsers({ search, limit: 20 })).users
}

export async function namesOfUsers(ids: string[]) {
  const read = await Promise.allSettled(ids.map(async (id) => (await readUser(id)).value))
  return read.filter((result) => result.status === 'fulfilled').map((result) => result.value)
}
