import { describe, expect, it } from 'vitest'
import type { Mark } from '@/api/accounts'
import { STATES, isReason, isTold, queryOf, statusBeside } from './states'

describe('the list is asked', () => {
  it('for what the address says', () => {
    const filters = { search: 'a', type: 'ccr', group: 'G', status: 'invalid', enabled: 'false', limit: 50, cursor: 'c' }
    expect(queryOf(filters)).toEqual({ search: 'a', type: 'ccr', group: 'G', status: 'invalid', enabled: false, limit: 50, cursor: 'c' })
    expect(queryOf({ enabled: 'true', limit: 25 })).toEqual({ enabled: true, limit: 25 })
  })

  it('for nothing that the server would refuse', () => {
    expect(queryOf({ enabled: 'maybe', status: 'x', limit: 50 })).toEqual({ limit: 50 })
  })
})

describe('a mark', () => {
  const mark = (kind: string, model_family: string | null): Mark => ({ kind, model_family, reason: 'status_429', until: 1 })

  it('is told by the state when it is of all models', () => {
    expect(isTold(mark('rate_limited', null), { state: 'rate_limited' })).toBe(true)
    expect(isTold(mark('rate_limited', 'opus'), { state: 'rate_limited' })).toBe(false)
    expect(isTold(mark('overloaded', null), { state: 'rate_limited' })).toBe(false)
    expect(isTold(mark('rate_limited', null), { state: 'disabled' })).toBe(false)
  })
})

it('an HTTP status is said once', () => {
  expect(statusBeside({ reason: 'status_429', http_status: 429 })).toBeNull()
  expect(statusBeside({ reason: 'stream_error', http_status: 200 })).toBe(200)
  expect(statusBeside({ reason: 'connect', http_status: null })).toBeNull()
})

it('a reason is a short code', () => {
  for (const good of ['x', 'set_by_person', 'Leaked2', 'a'.repeat(64)]) expect(isReason(good), good).toBe(true)
  for (const bad of ['', 'two words', 'a-b', 'é', 'a'.repeat(65), 'a\n']) expect(isReason(bad), bad).toBe(false)
})

it('all states are told apart', () => {
  expect(STATES).toHaveLength(7)
})
