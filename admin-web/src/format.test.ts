import { describe, expect, it } from 'vitest'
import { formatCount, formatDuration, formatMoney, formatRelative } from './format'

describe('money', () => {
  it.each([
    ['0', '$0.00'],
    ['12', '$12.00'],
    ['12.3', '$12.30'],
    ['1234567.891', '$1,234,567.89'],
    ['0.999', '$1.00'],
    ['0.05', '$0.05'],
    ['0.0049', '$0.0049'],
    ['0.000123456', '$0.00012'],
    ['0.000000001', '$0.000000001'],
    ['-3.456', '-$3.46'],
    ['99999999999999999999.99', '$99,999,999,999,999,999,999.99'],
    ['not money', 'not money'],
  ])('%s is shown as %s', (decimal, shown) => expect(formatMoney(decimal)).toBe(shown))
})

describe('counts', () => {
  it.each([
    [0, '0'], [999, '999'], [9_999, '9,999'], [12_345, '12.3k'], [1_234_567, '1.23M'], [999_499, '999k'], [999_999, '1.00M'], [2_500_000_000, '2.50B'],
  ])('%d is shown as %s', (count, shown) => expect(formatCount(count)).toBe(shown))
})

describe('durations', () => {
  it.each([[850, '850 ms'], [1_234, '1.2 s'], [59_400, '59 s'], [185_000, '3 min 5 s'], [7_260_000, '2 h 1 min']])(
    '%d ms is shown as %s', (ms, shown) => expect(formatDuration(ms)).toBe(shown),
  )
})

describe('distances in time', () => {
  const now = Date.UTC(2026, 10, 25, 12)
  it.each([
    [now - 3_000, '3 seconds ago'], [now, 'now'], [now + 90_000, 'in 2 minutes'], [now - 26 * 3_600_000, 'yesterday'], [now - 90 * 86_400_000, 'Aug 27, 2026'],
  ])('%d is shown as %s', (at, shown) => expect(formatRelative(at, now, 'en')).toBe(shown))
})
