/** Models as a filter finds them. */
import { readGateway } from '@/api/gateway'

let models: Promise<string[]> | undefined

/** Models with a price, and what is typed: a name without a price is asked for in full. */
export async function findModels(text: string) {
  models ??= Promise.resolve(readGateway()).then((gateway) => gateway.models.map(({ name }) => name))
  const names = await models.catch(() => (models = undefined))
  return (names ?? []).filter((name) => name.includes(text.trim().toLowerCase())).map((name) => ({ id: name, name }))
}
