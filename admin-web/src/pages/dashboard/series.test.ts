import { describe, expect, it } from 'vitest'
import type { UsageCounts } from '@/api/usage'
import { filled, labelOf, shareOf, startsOf } from './series'

const HOUR = 3_600_000
const NOW = Date.UTC(2026, 10, 25, 15, 42, 7)
const counts = { requests: 7, cost: '0.1' } as UsageCounts

describe('a period', () => {
  it('of a day is 24 whole hours, the last one under way', () => {
    const starts = startsOf('day', NOW)
    expect(starts).toHaveLength(24)
    expect(starts.at(-1)).toBe(Date.UTC(2026, 10, 25, 15))
    expect(starts[0]).toBe(Date.UTC(2026, 10, 24, 16))
  })

  it('of a month is 30 days in UTC, today the last', () => {
    const starts = startsOf('month', NOW)
    expect(starts).toHaveLength(30)
    expect(starts.at(-1)).toBe(Date.UTC(2026, 10, 25))
    expect(starts[0]).toBe(Date.UTC(2026, 9, 27))
  })

  it('begins on its border already', () => {
    expect(startsOf('day', Date.UTC(2026, 10, 25, 15)).at(-1)).toBe(Date.UTC(2026, 10, 25, 15))
  })
})

describe('a series', () => {
  const starts = startsOf('day', NOW)
  const known = { start: (starts[3] ?? 0), counts }

  it('has a point for each hour, zeros where there was nothing', () => {
    const points = filled(starts, [known], true)
    expect(points.map(({ start }) => start)).toEqual(starts)
    expect(points[3]).toBe(known)
    expect(points.filter(({ counts }) => counts.requests === 0)).toHaveLength(23)
    expect(points[0]?.counts).toMatchObject({ cost: '0', real_cost: '0', input_tokens: 0 })
  })

  it('leaves out what lies outside of the period', () => {
    expect(filled(starts, [{ start: (starts[0] ?? 0) - HOUR, counts }], true).every(({ counts }) => counts.requests === 0)).toBe(true)
  })

  it('has no cost at list price for who does not see it', () => {
    expect(filled(starts, [], false)[0]?.counts.real_cost).toBeUndefined()
  })

  it('is named by the day of UTC that the server counts', () => {
    expect(labelOf('month', Date.UTC(2026, 10, 25), 'en')).toBe('Nov 25')
    expect(labelOf('month', Date.UTC(2026, 10, 25), 'zh-CN')).toBe('11月25日')
  })
})

describe('the share of errors', () => {
  it('is none without requests, and never zero where there are errors', () => {
    expect(shareOf(0, 0)).toBeNull()
    expect(shareOf(0, 10)).toBe('0.0')
    expect(shareOf(1, 100_000)).toBe('<0.1')
    expect(shareOf(1, 40)).toBe('2.5')
    expect(shareOf(10, 10)).toBe('100')
  })
})
