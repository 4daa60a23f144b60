/** The numbers among the settings, as people set them: a unit instead of milliseconds and bytes. */
import type { Settings } from '@/api/settings'

export interface NumberSetting {
  name: { [K in keyof Settings]-?: NonNullable<Settings[K]> extends number ? K : never }[keyof Settings]
  unit: 'seconds' | 'mebibytes' | 'days' | 'requests'
  /** In the server's unit. */
  least: number
  most: number
  /** What a node takes where nothing is set, in the server's unit. */
  usual: number
}

const DAY = 86_400_000
const MEBIBYTE = 1_048_576

/** How many of the server's unit (milliseconds, bytes, days, requests) one of the person's is. */
export const SCALE: Record<NumberSetting['unit'], number> = { seconds: 1_000, mebibytes: MEBIBYTE, days: 1, requests: 1 }

export const TIMES: NumberSetting[] = [
  { name: 'first_byte_timeout_ms', unit: 'seconds', least: 100, most: DAY, usual: 60_000 },
  { name: 'idle_timeout_ms', unit: 'seconds', least: 100, most: DAY, usual: 120_000 },
  { name: 'deadline_ms', unit: 'seconds', least: 100, most: DAY, usual: 180_000 },
  { name: 'plain_deadline_ms', unit: 'seconds', least: 100, most: DAY, usual: 600_000 },
  { name: 'plain_attempt_timeout_ms', unit: 'seconds', least: 100, most: DAY, usual: 300_000 },
  { name: 'max_stream_ms', unit: 'seconds', least: 1_000, most: DAY, usual: 3_600_000 },
  { name: 'commit_hold_ms', unit: 'seconds', least: 0, most: 60_000, usual: 1_000 },
  { name: 'drain_timeout_ms', unit: 'seconds', least: 0, most: 600_000, usual: 60_000 },
  { name: 'plain_drain_timeout_ms', unit: 'seconds', least: 0, most: 600_000, usual: 300_000 },
]

export const SIZES: NumberSetting[] = [
  { name: 'max_body_bytes', unit: 'mebibytes', least: MEBIBYTE, most: 1024 * MEBIBYTE, usual: 32 * MEBIBYTE },
  { name: 'max_answer_bytes', unit: 'mebibytes', least: MEBIBYTE, most: 1024 * MEBIBYTE, usual: 16 * MEBIBYTE },
  { name: 'max_frame_bytes', unit: 'mebibytes', least: MEBIBYTE, most: 1024 * MEBIBYTE, usual: 16 * MEBIBYTE },
  { name: 'ledger_retention_days', unit: 'days', least: 1, most: 36_500, usual: 400 },
  { name: 'refusal_retention_days', unit: 'days', least: 1, most: 36_500, usual: 90 },
  { name: 'refusals_kept', unit: 'requests', least: 0, most: 10_000_000, usual: 100_000 },
  { name: 'audit_retention_days', unit: 'days', least: 1, most: 36_500, usual: 400 },
]

export function toPerson(setting: NumberSetting, value: number | null | undefined): number | null {
  return value == null ? null : value / SCALE[setting.unit]
}

/** Within the bounds of what the server takes, and whole in its unit. */
export function toServer(setting: NumberSetting, value: number | null | undefined): number | null {
  if (value == null) return null
  return Math.min(setting.most, Math.max(setting.least, Math.round(value * SCALE[setting.unit])))
}
