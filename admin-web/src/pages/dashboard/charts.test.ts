import { describe, expect, it } from 'vitest'
import { CHARTS, COLORS, LAYERS, chartOption, type Colors } from './charts'
import { filled, startsOf } from './series'

const starts = startsOf('day', Date.UTC(2026, 10, 25, 15))
const counts = {
  requests: 10, errors: 3, input_tokens: 1_000, cache_read_tokens: 20_000, cache_write_tokens: 300, cache_write_5m_tokens: 200, cache_write_1h_tokens: 100,
  output_tokens: 50, reasoning_tokens: 40, cost: '1234567.123456789',
}
const points = filled(starts, [{ start: starts[5] ?? 0, counts }], false)
const labels = starts.map(String)
const colors = Object.fromEntries(Object.keys(COLORS).map((name) => [name, '#123'])) as Colors

interface Option {
  series: { data: number[] }[]
  tooltip: { renderMode: string; formatter: (bars: { dataIndex: number }[]) => string }
}
const option = (chart: (typeof CHARTS)[number]) => chartOption(chart, points, labels, (name) => name, colors) as unknown as Option

describe('a chart', () => {
  it('has a bar for each point of the period', () => {
    for (const chart of CHARTS) for (const { data } of option(chart).series) expect(data).toHaveLength(24)
  })

  it('of requests stacks failures on the rest, so that the top is all of them', () => {
    expect(option('requests').series.map(({ data }) => data[5])).toEqual([7, 3])
  })

  it('of tokens stacks kinds that do not overlap', () => {
    expect(LAYERS.tokens.map(({ height }) => height(points[5] ?? { start: 0, counts }))).toEqual([1_000, 20_000, 300, 50])
  })

  it('of cost says the server’s own amount, not the height of its bar', () => {
    expect(option('cost').tooltip.formatter([{ dataIndex: 5 }])).toBe(`${labels[5]}\ncost: $1,234,567.12`)
  })

  it('needs no HTML for what it says', () => {
    for (const chart of CHARTS) expect(option(chart).tooltip.renderMode).toBe('richText')
    expect(option('requests').tooltip.formatter([])).toContain('succeeded: 0')
  })
})
