/** API keys: what clients present to the data plane. */
import { get, getTagged, post, put, remove } from './client'
import type { Query, Schemas } from './types'

export type ApiKey = Schemas['KeyBody']
/** With the key itself, which is answered this once. */
export type NewApiKey = Schemas['NewKeyBody']
export type KeyStatus = Schemas['KeyStatus']

export const listKeys = (query: Query<'/api/api-keys', 'get'>) => get('/api/api-keys', { query })
export const readKey = (id: string) => getTagged('/api/api-keys/{id}', { names: { id } })
export const createKey = (input: Schemas['NewKey']) => post('/api/api-keys', input)
export const updateKey = (id: string, etag: string, change: Schemas['KeyChange']) =>
  put('/api/api-keys/{id}', etag, change, { names: { id } })
export const deleteKey = (id: string) => remove('/api/api-keys/{id}', { names: { id } })

/** Says what it shall be, so that a page that is not up to date can't turn it the wrong way. */
export async function enableKey(id: string, enabled: boolean) {
  const { etag } = await readKey(id)
  return put('/api/api-keys/{id}/toggle', etag, { enabled }, { names: { id } })
}

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
