/** API keys: a person's own, and for who reads all everyone's. */
import { get, getTagged } from './client'
import type { Query, Schemas } from './types'

export type ApiKey = Schemas['KeyBody']

export const listKeys = (query: Query<'/api/api-keys', 'get'>) => get('/api/api-keys', { query })
export const readKey = (id: string) => getTagged('/api/api-keys/{id}', { names: { id } })

/** The first few whose name has the text in it, of one owner or of all that the reader may see. */
export async function searchKeys(search: string, owner?: string) {
  return (await listKeys({ search, user_id: owner, limit: 20 })).api_keys.map(named)
}

export async function namesOfKeys(ids: string[]) {
  const read = await Promise.allSettled(ids.map(async (id) => (await readKey(id)).value))
  return read.filter((result) => result.status === 'fulfilled').map((result) => named(result.value))
}

/** Names of keys are not unique: the owner tells them apart. */
function named({ id, name, user_name }: ApiKey) {
  return { id, name: user_name ? `${name} · ${user_name}` : name }
}
