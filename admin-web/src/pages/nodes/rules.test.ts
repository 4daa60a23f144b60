import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import en from '@/i18n/en'
import { healthTone, isTroubled, refusalOf, rejectionOf, standingOf, withheldFor } from './rules'

const acknowledged = { epoch: 'ab'.repeat(16), version: 7 }

describe('a node’s configuration', () => {
  it('is up to date, or so many versions behind', () => {
    expect(standingOf({ acknowledged, lag: 0 })).toEqual({ word: 'current', tone: 'good', versions: 0 })
    expect(standingOf({ acknowledged, lag: 3 })).toEqual({ word: 'behind', tone: 'warn', versions: 3 })
  })

  it('can’t be compared across epochs, which is worse than to be behind', () => {
    expect(standingOf({ acknowledged, lag: null })).toMatchObject({ word: 'elsewhere', tone: 'bad' })
  })

  it('is nothing before the first one came', () => {
    expect(standingOf({ acknowledged: null, lag: null })).toMatchObject({ word: 'nothing', tone: 'warn' })
  })
})

describe('a node', () => {
  const statistics = { open_streams: 0, in_flight: 0, requests: 0, errors: 0, started_at: 0, live_backend: 'redis', live_degraded: false }
  const well = { refused: null, refused_payloads: [], statistics }

  it('is for a person to look at when it refuses something or has lost Redis', () => {
    expect(isTroubled(well)).toBe(false)
    expect(isTroubled({ ...well, refused: { reason: 'unknown_epoch', revision: null } })).toBe(true)
    expect(isTroubled({ ...well, refused_payloads: [{ kind: 'account', id: '', reason: 'x' }] })).toBe(true)
    expect(isTroubled({ ...well, statistics: { ...statistics, live_degraded: true } })).toBe(true)
  })

  it('that is silent is no alarm of its own colour, since it may be gone for good', () => {
    expect(healthTone('live')).toBe('good')
    expect(healthTone('stopping')).toBe('warn')
    expect(healthTone('silent')).toBe('idle')
  })

  it('refuses for reasons that are explained, each that the data plane gives', () => {
    const file = join(__dirname, '../../../../data-plane/src/snapshot/hold.rs')
    const reasons = [...readFileSync(file, 'utf8').matchAll(/Self::(?:UnknownEpoch|LowerVersion|OtherHistory) => "(\w+)"/g)].map((match) => match[1] ?? '')
    expect(reasons).toHaveLength(3)
    for (const reason of reasons) expect(refusalOf(reason)).toBe(reason)
    expect(refusalOf('mood')).toBe('other')
  })

  it('gets nothing for reasons that are explained', () => {
    expect(withheldFor('higher_version')).toBe('higherVersion')
    expect(withheldFor('other_history')).toBe('otherHistory')
  })
})

describe('a rejected record', () => {
  const file = join(__dirname, '../../../../control-plane/src/ledger/record.rs')
  const source = /impl Rejection \{[\s\S]*?\n\}/.exec(readFileSync(file, 'utf8'))?.[0] ?? ''
  const reasons = [...source.matchAll(/Self::\w+ => "(\w+)"/g)].map((match) => match[1] ?? '')
  const words = en.rejected as { means: Record<string, string>; todo: Record<string, string> }

  it('is explained for every reason that the control plane gives', () => {
    expect(reasons.length).toBeGreaterThan(5)
    for (const reason of reasons) {
      const { means, todo } = rejectionOf({ reason, payload: 'AAAA' })
      expect(means).toBe(reason)
      expect(words.means[means], reason).toBeTruthy()
      expect(words.todo[todo], reason).toBeTruthy()
    }
    expect(Object.keys(words.means).sort()).toEqual([...reasons, 'no_content_empty', 'other'].sort())
  })

  it('without bytes is one that its disk has lost', () => {
    expect(rejectionOf({ reason: 'no_content', payload: '' })).toEqual({ means: 'no_content_empty', todo: 'disk' })
    expect(rejectionOf({ reason: 'gone', payload: '' })).toMatchObject({ means: 'gone' })
  })

  it('for a reason that is not known stays with its code', () => {
    expect(rejectionOf({ reason: 'solar_flare', payload: '' })).toEqual({ means: 'other', todo: 'replicas' })
    expect(rejectionOf({ reason: 'toString', payload: '' }).means).toBe('other')
  })
})
