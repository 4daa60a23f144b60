import { describe, expect, it } from 'vitest'
import { STATES, queryOf } from '@/pages/accounts/states'
import { accountsIn, stepsOf } from './setup'

const empty = { isFresh: true, accounts: 0, hasKeys: false }

describe('the first steps', () => {
  it('are an account, a key and a try, for who may take them all', () => {
    expect(stepsOf(empty, 'operator')).toEqual([
      { name: 'account', isDone: false, to: '/accounts/new' },
      { name: 'key', isDone: false, to: '/api-keys/new' },
      { name: 'try', isDone: false, to: '/proxy-test' },
    ])
    expect(stepsOf(empty, 'admin')).toEqual(stepsOf(empty, 'operator'))
  })

  it('lead a viewer nowhere that they may not go', () => {
    expect(stepsOf(empty, 'viewer')[0]).toEqual({ name: 'account', isDone: false, to: null })
  })

  it('of a user are only their own', () => {
    expect(stepsOf({ ...empty, accounts: null }, 'user').map(({ name }) => name)).toEqual(['key', 'try'])
  })

  it('are done one by one', () => {
    expect(stepsOf({ isFresh: true, accounts: 2, hasKeys: true }, 'admin').map(({ isDone }) => isDone)).toEqual([true, true, false])
  })
})

describe('the list behind a state', () => {
  it('is asked for with filters that it has', () => {
    for (const state of STATES) expect(Object.keys(queryOf({ ...accountsIn(state), limit: 50 }))).toEqual(expect.arrayContaining(Object.keys(accountsIn(state))))
    expect(accountsIn('disabled')).toEqual({ enabled: 'false' })
    expect(accountsIn('invalid')).toEqual({ enabled: 'true', status: 'invalid' })
    expect(accountsIn('rate_limited')).toEqual({ enabled: 'true', status: 'valid' })
  })
})
