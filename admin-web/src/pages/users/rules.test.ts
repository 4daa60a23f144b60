import { describe, expect, it } from 'vitest'
import { Problem } from '@/api/problem'
import { inWords, wrongName, wrongPassword, wrongRate } from './rules'

describe('a user’s name', () => {
  it('is plain letters, digits and a few marks, so that none can pass for another', () => {
    for (const good of ['a', '0x', 'ann.lee@example.com', 'ci+bot', 'A_b-c', 'a'.repeat(64)]) expect(wrongName(good), good).toBeNull()
    for (const bad of ['', '.a', '_a', 'a b', 'аdmin', 'é', '<b>', 'a\n', 'a/b', 'a'.repeat(65)]) expect(wrongName(bad), bad).toBe('name')
  })
})

describe('a password', () => {
  it('has twelve characters, not code units', () => {
    expect(wrongPassword('twelve chars')).toBeNull()
    expect(wrongPassword('eleven char')).toBe('passwordShort')
    expect(wrongPassword('🦀'.repeat(6))).toBe('passwordShort')
    expect(wrongPassword('🦀'.repeat(12))).toBeNull()
  })

  it('has at most 256 bytes', () => {
    expect(wrongPassword('a'.repeat(256))).toBeNull()
    expect(wrongPassword('é'.repeat(129))).toBe('passwordLong')
  })
})

describe('what the server says of a field', () => {
  it('is put in words where it can only be one thing', () => {
    const said = Problem.invalid([{ field: 'password', message: 'is common' }, { field: 'name', message: 'is taken' }])
    expect(inWords(said, { password: 'take another' }).errors).toEqual([{ field: 'password', message: 'take another' }, { field: 'name', message: 'is taken' }])
    const other = new Problem(409, 'conflict', 'the name is taken already')
    expect(inWords(other, { password: 'take another' })).toBe(other)
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
