import { describe, expect, it } from 'vitest'
import { SIZES, TIMES, toPerson, toServer } from './fields'

describe('number settings', () => {
  it('come back as they were, in every unit', () => {
    for (const setting of [...TIMES, ...SIZES]) {
      for (const value of [setting.least, setting.usual, setting.most]) {
        expect(toServer(setting, toPerson(setting, value)), setting.name).toBe(value)
      }
      expect(toServer(setting, toPerson(setting, null)), setting.name).toBeNull()
    }
  })

  it('stay within what the server takes, and whole', () => {
    const [time] = TIMES
    if (time === undefined) throw new Error('there are none')
    expect(toServer(time, 0.0001)).toBe(time.least)
    expect(toServer(time, 1e9)).toBe(time.most)
    expect(toServer(time, 1.0004)).toBe(1_000)
  })
})
