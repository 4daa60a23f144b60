import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CODES } from '@/api/refusals'
import en from '@/i18n/en'
import { refusalQuery } from './rules'

const NOW = new Date(2026, 10, 25, 15, 30).getTime()

describe('what the server is asked with', () => {
  const filters = { range: 'hour', code: 'no_account', model: 'gpt-5', key_id: 'K', user_id: 'U', mine: 'true' }

  it('names people only for who reads all', () => {
    expect(refusalQuery(filters, true, NOW)).toEqual({ from: NOW - 3_600_000, code: 'no_account', model: 'gpt-5', key_id: 'K', user_id: 'U' })
    expect(refusalQuery(filters, false, NOW).user_id).toBeUndefined()
  })

  it('has no filter that is empty', () => {
    const none = refusalQuery({ range: '', from: '', to: '', code: '', model: '', key_id: '', user_id: '', mine: '' }, true, NOW)
    expect(Object.values(none).filter((value) => value !== undefined)).toEqual([])
  })
})

describe('the reason of a refusal', () => {
  const file = join(__dirname, '../../../../data-plane/src/pipeline/refusal.rs')
  const given = [...readFileSync(file, 'utf8').matchAll(/(?:plain\(ErrorKind::\w+, |Some\()"([a-z_]+)"/g)].map((match) => match[1] ?? '')
  /** After an account was tried, so that there is a record; and the socket that Codex does without. */
  const elsewhere = ['upstream_failed', 'unsupported_by_account', 'no_websocket']
  const codes = [...new Set(given)].filter((code) => !elsewhere.includes(code)).sort()

  it('can be chosen and is explained for every code that nodes give', () => {
    expect(codes.length).toBeGreaterThan(15)
    expect([...CODES].sort()).toEqual(codes)
    expect(Object.keys((en.refusals as { codes: Record<string, string> }).codes).sort()).toEqual(codes)
  })
})
