import { describe, expect, it } from 'vitest'
import types from '../../../control-plane/account-types.json'
import chinese from './serverTexts.zh-CN.json'

/** Every text that stands under one of these names, at any depth. */
function wordsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(wordsOf)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    (name === 'title' || name === 'help') && typeof inner === 'string' ? [inner] : wordsOf(inner),
  )
}

describe('the server\'s own words', () => {
  it('are in Chinese each, and nothing else is', () => {
    expect(Object.keys(chinese).sort()).toEqual([...new Set(wordsOf(types))].sort())
  })

  it('are sentences in Chinese too', () => {
    const left = Object.entries(chinese).filter(([english, text]) => english.endsWith('.') && !/\p{Script=Han}.*。$/u.test(text))
    expect(left).toEqual([])
  })
})
