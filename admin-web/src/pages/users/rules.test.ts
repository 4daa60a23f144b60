import { describe, expect, it } from 'vitest'
import { wrongName, wrongPassword, wrongRate } from './rules'

describe('a user’s name', () => {
  it('is plain letters, digits and a few marks, so that none can pass for another', () => {
    for (const good of ['a', '0x', 'ann.lee@example.com', 'ci+bot', 'A_b-c', 'a'.repeat(64)]) expect(wrongName(good), good).toBeNull()
    for (const bad of ['', '.a', '_a', 'a b', 'аdmin', 'é', '<b>', 'a\n', 'a/b', 'a'.repeat(65)]) expect(wrongName(bad), bad).toBe('name')
  })
})

describe('a password', () => {
  it('has eight characters, not code units', () => {
    expect(wrongPassword('12345678')).toBeNull()
    expect(wrongPassword('1234567')).toBe('passwordShort')
    expect(wrongPassword('🦀🦀🦀🦀')).toBe('passwordShort')
    expect(wrongPassword('🦀'.repeat(8))).toBeNull()
  })

  it('has at most 256 bytes', () => {
    expect(wrongPassword('a'.repeat(256))).toBeNull()
    expect(wrongPassword('é'.repeat(129))).toBe('passwordLong')
  })
})

describe('a price rate', () => {
  it('is a decimal text', () => {
    for (const good of ['0', '1', '0.85', '1.000001', '01.5', '1000', '1000.000000', '0.5000000']) expect(wrongRate(good), good).toBeNull()
    for (const bad of ['', '.5', '1.', '-1', '1e3', ' 1', '1,5', 'x']) expect(wrongRate(bad), bad).toBe('rate')
  })

  it('has six digits after the point at the most, and is at most 1000', () => {
    expect(wrongRate('0.1234567')).toBe('rateDigits')
    expect(wrongRate('1000.000001')).toBe('rateHigh')
    expect(wrongRate('99999999999999999999999999')).toBe('rateHigh')
  })
})
