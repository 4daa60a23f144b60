/** What the pages of refused requests ask the server for. */
import type { RefusalQuery } from '@/api/refusals'
import { spanOf } from '@/pages/usage/rules'

export const FILTERS = ['mine', 'range', 'from', 'to', 'code', 'model', 'key_id', 'user_id'] as const
export type Filter = (typeof FILTERS)[number]

/** The same for the list and for the counts. Whoever sees only their own can't ask for someone else. */
export function refusalQuery(filters: Partial<Record<Filter, string>>, readsAll: boolean, now: number): RefusalQuery {
  const { range = '', from = '', to = '', code, model, key_id, user_id } = filters
  return { ...spanOf({ range, from, to }, now), code: code || undefined, model: model || undefined, key_id: key_id || undefined, user_id: (readsAll && user_id) || undefined }
}
