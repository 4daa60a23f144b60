/** What ECharts is told to draw. Heights are numbers; what people read is made from the server's own. */
import type { EChartsCoreOption } from 'echarts/core'
import { formatCount, formatMoney } from '@/format'
import type { Point } from './series'

export const CHARTS = ['requests', 'tokens', 'cost'] as const
export type Chart = (typeof CHARTS)[number]

/** Names of the theme's variables. */
export const COLORS = { info: '--sy-info', bad: '--sy-bad', good: '--sy-good', warn: '--sy-warn', idle: '--sy-idle', text: '--sy-text-faint', line: '--sy-line', ground: '--sy-surface', strong: '--sy-text' } as const
export type Colors = Record<keyof typeof COLORS, string>

export interface Layer {
  /** The last part of `dashboard.layers.` */
  name: 'succeeded' | 'failed' | 'input' | 'cacheRead' | 'cacheWrite' | 'output' | 'cost'
  color: keyof Colors
  height: (point: Point) => number
  text: (point: Point) => string
}

function counted(name: Layer['name'], color: keyof Colors, count: (point: Point) => number): Layer {
  return { name, color, height: count, text: (point) => formatCount(count(point)) }
}

/** What stands on one another in each chart, from below. */
export const LAYERS: Record<Chart, Layer[]> = {
  requests: [
    counted('succeeded', 'info', ({ counts }) => counts.requests - counts.errors),
    counted('failed', 'bad', ({ counts }) => counts.errors),
  ],
  tokens: [
    counted('input', 'info', ({ counts }) => counts.input_tokens),
    counted('cacheRead', 'good', ({ counts }) => counts.cache_read_tokens),
    counted('cacheWrite', 'warn', ({ counts }) => counts.cache_write_tokens),
    counted('output', 'idle', ({ counts }) => counts.output_tokens),
  ],
  cost: [{ name: 'cost', color: 'info', height: ({ counts }) => Number(counts.cost), text: ({ counts }) => formatMoney(counts.cost) }],
}

/** Nano-dollars are the least that there is. */
const axisMoney = (dollars: number) => formatMoney(dollars.toFixed(9))

export function chartOption(chart: Chart, points: Point[], labels: string[], nameOf: (layer: Layer['name']) => string, colors: Colors): EChartsCoreOption {
  const layers = LAYERS[chart]
  const letters = { color: colors.text, fontSize: 11 }
  return {
    animation: false,
    textStyle: { fontFamily: 'inherit' },
    grid: { left: 4, right: 16, top: layers.length > 1 ? 30 : 10, bottom: 2, containLabel: true },
    legend: layers.length > 1 ? { top: 0, left: 0, itemWidth: 10, itemHeight: 10, itemGap: 12, selectedMode: false, textStyle: letters } : undefined,
    xAxis: { type: 'category', data: labels, axisTick: { show: false }, axisLine: { lineStyle: { color: colors.line } }, axisLabel: { ...letters, hideOverlap: true } },
    yAxis: { type: 'value', minInterval: chart === 'cost' ? 0 : 1, splitNumber: 3, splitLine: { lineStyle: { color: colors.line } }, axisLabel: { ...letters, formatter: chart === 'cost' ? axisMoney : formatCount } },
    // The browser's strict CSP allows no HTML with styles.
    tooltip: {
      trigger: 'axis', renderMode: 'richText', confine: true, backgroundColor: colors.ground, borderColor: colors.line, textStyle: { color: colors.strong, fontSize: 12 },
      axisPointer: { type: 'shadow', z: 0, shadowStyle: { color: colors.line, opacity: 0.5 } },
      formatter: (bars: { dataIndex: number }[]) => tooltipText(bars[0]?.dataIndex ?? 0, points, labels, layers, nameOf),
    },
    series: layers.map((layer) => ({
      type: 'bar', name: nameOf(layer.name), stack: 'all', data: points.map(layer.height), itemStyle: { color: colors[layer.color] }, barCategoryGap: '25%',
    })),
  }
}

function tooltipText(index: number, points: Point[], labels: string[], layers: Layer[], nameOf: (layer: Layer['name']) => string) {
  const point = points[index]
  if (point === undefined) return ''
  return [labels[index], ...layers.map((layer) => `${nameOf(layer.name)}: ${layer.text(point)}`)].join('\n')
}
