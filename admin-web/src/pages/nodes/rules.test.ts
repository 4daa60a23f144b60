import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { healthTone, isTroubled, refusalOf, standingOf, withheldFor } from './rules'

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
