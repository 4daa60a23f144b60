/** Requests that the gateway refused by itself: no account was tried, so they are not among the usage records. */
import { get } from './client'
import type { Query, Schemas } from './types'

export type Refusal = Schemas['Refusal']
export type RefusalCounts = Schemas['RefusalCounts']
export type FrequentRefusal = Schemas['FrequentRefusal']
export type RefusalQuery = Query<'/api/admin/usage/refusals', 'get'>
export type RefusalCountQuery = Query<'/api/admin/usage/refusals/counts', 'get'>

/** The codes that nodes of this version give, those that an operator can do most about first. */
export const CODES = [
  'no_account', 'model_not_found', 'unsupported_by_node', 'account_type_pinned', 'bound_account_gone', 'unknown_id', 'expired_api_key', 'invalid_api_key', 'missing_api_key',
  'no_room_for_records', 'not_configured', 'out_of_memory', 'too_many_connections', 'not_in_time', 'shutting_down', 'internal_error', 'body_too_large', 'too_many_parts',
  'body_timeout', 'body_incomplete', 'invalid_body', 'unsupported_content_encoding', 'unknown_path', 'method_not_allowed',
]

/** Whoever sees only their own can't ask for someone else. */
export const listRefusals = (readsAll: boolean, { user_id, ...own }: RefusalQuery) =>
  readsAll ? get('/api/admin/usage/refusals', { query: { ...own, user_id } }) : get('/api/usage/refusals', { query: own })

export const countRefusals = (readsAll: boolean, { user_id, ...own }: RefusalCountQuery) =>
  readsAll ? get('/api/admin/usage/refusals/counts', { query: { ...own, user_id } }) : get('/api/usage/refusals/counts', { query: own })

/** One refused request, as the reader may see it; null: there is none of this id, or it is someone else's. */
export async function readRefusal(requestId: string, readsAll: boolean): Promise<Refusal | null> {
  const { refusals } = await listRefusals(readsAll, { request_id: requestId, limit: 1 })
  return refusals[0] ?? null
}
