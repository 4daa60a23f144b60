import { describe, expect, it } from 'vitest'
import { Tail } from './tail'

describe('the end of a text', () => {
  it('is all of it while it fits', () => {
    const tail = new Tail(6)
    tail.push('abc')
    tail.push('def')
    expect(String(tail)).toBe('abcdef')
    expect(tail.isCut).toBe(false)
  })

  it('is its last characters, and says that there was more', () => {
    const tail = new Tail(6)
    for (const piece of ['abc', 'def', 'g', '']) tail.push(piece)
    expect(String(tail)).toBe('bcdefg')
    expect(tail.isCut).toBe(true)
  })

  it('is cut within a piece that is longer than all', () => {
    const tail = new Tail(3)
    tail.push('x')
    tail.push('abcdef')
    expect(String(tail)).toBe('def')
    expect(tail.isCut).toBe(true)
  })
})
