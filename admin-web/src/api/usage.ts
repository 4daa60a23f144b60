/** Usage: the ledger's records and the sums over them; a person's own, and for who reads all everyone's. */
import { get } from './client'
import type { Query, Schemas } from './types'

export type UsageRecord = Schemas['UsageRecord']
export type UsageAttempt = Schemas['UsageAttempt']
export type UsageCounts = Schemas['UsageCounts']
export type UsageSummary = Schemas['UsageSummary']
export type Outcome = Schemas['Outcome']
export type Purpose = Schemas['Purpose']
export type Reserved = Schemas['ReservedView']
export type Rejected = Schemas['RejectedView']
export type OwnRecordQuery = Query<'/api/usage/records', 'get'>
export type AllRecordQuery = Query<'/api/admin/usage/records', 'get'>

export const OUTCOMES: Outcome[] = ['open', 'completed', 'upstream_error', 'client_gone', 'cut_off', 'refused', 'unknown']
export const PURPOSES: Purpose[] = ['client', 'account_test']

export const listOwnRecords = (query: OwnRecordQuery) => get('/api/usage/records', { query })
export const listAllRecords = (query: AllRecordQuery) => get('/api/admin/usage/records', { query })

/** One request, as the reader may see it; null: there is none of this id, or it is someone else's. */
export async function readRecord(requestId: string, readsAll: boolean): Promise<UsageRecord | null> {
  const query = { request_id: requestId, limit: 1 }
  const { records } = await (readsAll ? listAllRecords(query) : listOwnRecords(query))
  return records[0] ?? null
}

export const readSummary = (readsAll: boolean, from: number) => {
  const query = { from }
  return readsAll ? get('/api/admin/usage/summary', { query }) : get('/api/usage/summary', { query })
}
export const readHours = (readsAll: boolean, from: number) => {
  const query = { from }
  return readsAll ? get('/api/admin/usage/hourly', { query }) : get('/api/usage/hourly', { query })
}
export const readDays = (readsAll: boolean, from: number) => {
  const query = { from }
  return readsAll ? get('/api/admin/usage/daily', { query }) : get('/api/usage/daily', { query })
}

/** Records that the ledger could not take as they are. */
export const listRejected = (query: Query<'/api/admin/usage/rejected', 'get'>) => get('/api/admin/usage/rejected', { query })
