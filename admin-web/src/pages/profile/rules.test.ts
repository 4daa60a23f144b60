import { describe, expect, it } from 'vitest'
import { wrongChange } from './rules'

describe('a change of password', () => {
  it('names the field at fault', () => {
    const fields = (current_password: string, new_password: string, repeated: string) =>
      wrongChange({ current_password, new_password, repeated }).map(({ field }) => field)
    expect(fields('old-password', 'another password', 'another password')).toEqual([])
    expect(fields('', 'another password', 'another password')).toEqual(['current_password'])
    expect(fields('old-password', 'short', 'short')).toEqual(['new_password'])
    expect(fields('old-password', 'another password', 'another passwort')).toEqual(['repeated'])
    expect(fields('', '', 'x')).toEqual(['current_password', 'new_password'])
  })

  it('says why in a key', () => {
    expect(wrongChange({ current_password: 'x', new_password: 'short', repeated: '' })[0]?.message).toBe('users.wrong.passwordShort')
  })
})
