import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { UsageAttempt } from '@/api/usage'
import en from '@/i18n/en'
import { FILTERS, chooseRange, groupsOf, modelNames, particularsOf, placeOf, reasonOf, recordQuery, spanOf, startOfDay, type Filter } from './rules'

const NOW = new Date(2026, 10, 25, 15, 30).getTime()
const HOUR = 3_600_000
const none = Object.fromEntries(FILTERS.map((name) => [name, ''])) as Record<Filter, string>
const range = (range: string, from = '', to = '') => spanOf({ range, from, to }, NOW)

describe('a range', () => {
  it('that ends now has no other bound, so that what comes meanwhile is shown too', () => {
    expect(range('hour')).toEqual({ from: NOW - HOUR })
    expect(range('day')).toEqual({ from: NOW - 24 * HOUR })
    expect(range('week')).toEqual({ from: NOW - 168 * HOUR })
    expect(range('month')).toEqual({ from: NOW - 720 * HOUR })
  })

  it('of today begins at midnight here', () => {
    expect(range('today')).toEqual({ from: new Date(2026, 10, 25).getTime() })
    expect(startOfDay(startOfDay(NOW))).toBe(startOfDay(NOW))
  })

  it('of one’s own has the bounds that are given', () => {
    expect(range('custom', '1000', '2000')).toEqual({ from: 1000, to: 2000 })
    expect(range('custom', '1000')).toEqual({ from: 1000, to: undefined })
    expect(range('custom', 'yesterday', '-5')).toEqual({ from: undefined, to: undefined })
  })

  it('that is not known, or none, has no bounds', () => {
    expect(range('')).toEqual({})
    expect(range('century', '1000')).toEqual({})
  })

  it('of one’s own begins with the span that was shown before', () => {
    expect(chooseRange('custom', { ...none, range: 'week' }, NOW)).toEqual({ range: 'custom', from: String(NOW - 168 * HOUR), to: '' })
    expect(chooseRange('custom', none, NOW)).toEqual({ range: 'custom', from: String(NOW - 24 * HOUR), to: '' })
    expect(chooseRange('hour', { ...none, range: 'custom', from: '1', to: '2' }, NOW)).toEqual({ range: 'hour', from: '', to: '' })
  })
})

describe('what the server is asked with', () => {
  const filters = { failed: 'true', outcome: 'refused', wire: 'chat', user_id: 'U', account_id: 'A', key_id: 'K', purpose: 'account_test', mine: 'true' }

  it('names people and accounts only for who reads all', () => {
    expect(recordQuery(filters, true, NOW)).toMatchObject({ failed: true, outcome: 'refused', wire: 'chat', user_id: 'U', account_id: 'A', key_id: 'K', purpose: 'account_test' })
    expect(Object.keys(recordQuery(filters, false, NOW))).not.toContain('user_id')
    expect(Object.keys(recordQuery(filters, false, NOW))).not.toContain('account_id')
    expect(Object.keys(recordQuery(filters, false, NOW))).not.toContain('purpose')
  })

  it('never names what only the page knows', () => {
    expect(Object.keys(recordQuery(filters, true, NOW))).not.toContain('mine')
    expect(Object.keys(recordQuery({ range: 'hour' }, true, NOW))).not.toContain('range')
  })

  it('asks for failures, or for all', () => {
    expect(recordQuery({}, true, NOW).failed).toBeUndefined()
    expect(recordQuery({ failed: 'no' }, true, NOW).failed).toBeUndefined()
  })
})

describe('the names of a model', () => {
  const names = (model_requested: string, model_mapped: string, model_served: string) => modelNames({ model_requested, model_mapped, model_served })

  it('are shown once where they agree', () => {
    expect(names('sonnet', 'sonnet', 'sonnet')).toEqual(['sonnet'])
    expect(names('fast', 'haiku', 'haiku-2026')).toEqual(['fast', 'haiku', 'haiku-2026'])
    expect(names('fast', 'haiku', 'haiku')).toEqual(['fast', 'haiku'])
  })

  it('leave out what was never sent or said', () => {
    expect(names('sonnet', '', '')).toEqual(['sonnet'])
    expect(names('sonnet', '', 'opus')).toEqual(['sonnet', 'opus'])
  })
})

describe('what conversions lost', () => {
  const file = join(__dirname, '../../../../data-plane/wire/src/loss.rs')
  const codes = [...readFileSync(file, 'utf8').matchAll(/Self::\w+ => "(\w+)"/g)].map((match) => match[1] ?? '')

  it('is explained for every code that the data plane gives', () => {
    expect(codes.length).toBeGreaterThan(10)
    expect(Object.keys((en.usage as { losses: Record<string, string> }).losses).sort()).toEqual([...codes].sort())
  })

  it('stands apart from the conditions, also of old records', () => {
    expect(particularsOf({ conditions: ['drained', 'lost_field'], losses: ['block', 'field'] })).toEqual({ conditions: ['drained'], losses: ['block', 'field'] })
    expect(particularsOf({ conditions: ['lost_media_moved', 'no_price'], losses: [] })).toEqual({ conditions: ['no_price'], losses: ['media_moved'] })
  })
})

describe('the groups of a request', () => {
  it('are those of all attempts, once, and none for whom they are left out', () => {
    expect(groupsOf([{ group_ids: ['A', 'B'] }, { group_ids: ['B'] }, {}, { group_ids: null }])).toEqual(['A', 'B'])
  })
})

describe('the reason of an attempt', () => {
  const file = join(__dirname, '../../../../data-plane/src/provider/failure.rs')
  const codes = [...readFileSync(file, 'utf8').matchAll(/Self::\w+ => "(\w+)"/g)].map((match) => match[1] ?? '')
  const explained = (code: string) => (en.usage as { reasons: Record<string, string> }).reasons[reasonOf(code)?.key ?? '']

  it('is explained for every code that the data plane gives', () => {
    expect(codes.length).toBeGreaterThan(10)
    expect(codes.filter((code) => explained(code) === undefined)).toEqual([])
  })

  it('follows what an upstream’s status means for the account', () => {
    const keys = [400, 401, 402, 403, 404, 408, 422, 429, 500, 503, 529, 301].map((status) => reasonOf(`status_${status}`)?.key)
    expect(keys).toEqual([
      'refused', 'credential', 'credential', 'credential', 'refused', 'transient', 'refused', 'rate_limited', 'transient', 'overloaded', 'overloaded', 'transient',
    ])
    for (const key of keys) expect((en.usage as { reasons: Record<string, string> }).reasons[key ?? '']).toContain('{status}')
  })

  it('stays a code where it is not known', () => {
    expect(reasonOf('solar_flare')).toBeNull()
    expect(reasonOf('status_teapot')).toBeNull()
    expect(reasonOf('toString')).toBeNull()
  })
})

describe('an attempt’s place', () => {
  const attempts = [{ started_at: 1_000, total_ms: 250 }, { started_at: 1_500, total_ms: 500 }] as UsageAttempt[]

  it('is a share of the whole request', () => {
    const record = { started_at: 1_000, total_ms: 1_000, attempts }
    expect(attempts.map((attempt) => placeOf(attempt, record))).toEqual([{ offset: 0, left: 0, width: 25 }, { offset: 500, left: 50, width: 50 }])
  })

  it('never lies outside, whatever the clocks say', () => {
    for (const started_at of [0, 1_200, 9_000]) {
      for (const attempt of attempts) {
        const { offset, left, width } = placeOf(attempt, { started_at, total_ms: 10, attempts })
        expect(offset).toBeGreaterThanOrEqual(0)
        expect(left + width).toBeLessThanOrEqual(100)
      }
    }
    expect(placeOf({ started_at: 0, total_ms: 0 }, { started_at: 0, total_ms: null, attempts: [] })).toEqual({ offset: 0, left: 0, width: 0 })
  })
})
