import { describe, expect, it } from 'vitest'
import { expiresAt, expiryOf, mayChange, ownerAsked } from './rules'

const NOW = Date.UTC(2026, 10, 25)

describe('the expiry of a key', () => {
  it('is never, or so many days from now', () => {
    expect(expiresAt('never', NOW)).toBeNull()
    expect(expiresAt('month', NOW)).toBe(Date.UTC(2026, 11, 25))
    expect(expiresAt('year', NOW)).toBe(Date.UTC(2027, 10, 25))
  })

  it('begins as a month, where the person sets a time of their own', () => {
    expect(expiresAt('at', NOW)).toBe(expiresAt('month', NOW))
  })

  it('is a time once it was read', () => {
    expect(expiryOf(null)).toBe('never')
    expect(expiryOf(NOW)).toBe('at')
  })
})

describe('who changes a key', () => {
  it('is its owner or an admin, and nobody who only reads it', () => {
    const key = { user_id: 'ann' }
    expect(mayChange(key, { id: 'ann', role: 'user' })).toBe(true)
    expect(mayChange(key, { id: 'bob', role: 'admin' })).toBe(true)
    expect(mayChange(key, { id: 'bob', role: 'operator' })).toBe(false)
    expect(mayChange(key, null)).toBe(false)
  })
})

describe('the owner that the list asks for', () => {
  it('is oneself, unless all are asked for', () => {
    expect(ownerAsked({}, 'me')).toBe('me')
    expect(ownerAsked({ view: 'all' }, 'me')).toBeUndefined()
  })

  it('is the person that was picked, in either view', () => {
    expect(ownerAsked({ view: 'all', user_id: 'ann' }, 'me')).toBe('ann')
    expect(ownerAsked({ user_id: 'ann' }, 'me')).toBe('ann')
  })
})
