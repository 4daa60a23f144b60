import { describe, expect, it } from 'vitest'
import { tokenSum, tokensByKind } from './tokens'

const counts = {
  input_tokens: 1, cache_read_tokens: 20, cache_write_5m_tokens: 300, cache_write_1h_tokens: 4_000, output_tokens: 50_000, reasoning_tokens: 40_000,
}

describe('tokens', () => {
  it('add up over the kinds; reasoning is inside the output and counts once', () => {
    expect(tokenSum(counts)).toBe(54_321)
  })

  it('are told apart by what they cost', () => {
    expect(tokensByKind(counts).map(({ kind }) => kind)).toEqual(['input', 'cache_read', 'cache_write_5m', 'cache_write_1h', 'output'])
  })
})
