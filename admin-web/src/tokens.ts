/** Tokens by kind, and their sum. */
import type { UsageCounts } from './api/usage'

export type TokenCounts = Pick<UsageCounts, 'input_tokens' | 'cache_read_tokens' | 'cache_write_5m_tokens' | 'cache_write_1h_tokens' | 'output_tokens' | 'reasoning_tokens'>

/** The kinds that add up; reasoning is a part of the output. */
const KINDS = ['input', 'cache_read', 'cache_write_5m', 'cache_write_1h', 'output'] as const

export function tokensByKind(counts: TokenCounts) {
  return KINDS.map((kind) => ({ kind, tokens: counts[`${kind}_tokens`] }))
}

export function tokenSum(counts: TokenCounts): number {
  return tokensByKind(counts).reduce((sum, { tokens }) => sum + tokens, 0)
}
