import { mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readRefusal, type Refusal } from '@/api/refusals'
import { readRecord, type UsageRecord } from '@/api/usage'
import { useRequest } from './useRequest'

vi.mock('@/api/usage', () => ({ readRecord: vi.fn() }))
vi.mock('@/api/refusals', () => ({ readRefusal: vi.fn() }))
vi.mock('@/stores/session', () => ({ useSession: () => ({ may: () => true }) }))

const read = vi.mocked(readRecord)
const refused = vi.mocked(readRefusal)
const record = (outcome: string) => ({ outcome }) as UsageRecord

function opened() {
  let request!: ReturnType<typeof useRequest>
  mount({ template: '<p />', setup: () => void (request = useRequest('01')) })
  return request
}

beforeEach(() => {
  vi.useFakeTimers()
  refused.mockResolvedValue(null)
})
afterEach(() => {
  vi.useRealTimers()
  read.mockReset()
  refused.mockReset()
})

describe('a request', () => {
  it('that has not been reported yet is found once it is', async () => {
    read.mockResolvedValueOnce(null).mockResolvedValueOnce(null).mockResolvedValue(record('completed'))
    const { value, isMissing } = opened()
    await vi.advanceTimersByTimeAsync(0)
    expect(isMissing.value).toBe(true)
    await vi.advanceTimersByTimeAsync(10_000)
    expect([value.value?.outcome, isMissing.value]).toEqual(['completed', false])
    expect(read).toHaveBeenCalledTimes(3)
  })

  it('that is nowhere is not asked for for ever', async () => {
    read.mockResolvedValue(null)
    const { isMissing } = opened()
    await vi.advanceTimersByTimeAsync(600_000)
    expect(isMissing.value).toBe(true)
    expect(read).toHaveBeenCalledTimes(1 + 15)
  })

  it('that runs is read until it is over', async () => {
    read.mockResolvedValueOnce(record('open')).mockResolvedValue(record('completed'))
    const { isRunning } = opened()
    await vi.advanceTimersByTimeAsync(0)
    expect(isRunning.value).toBe(true)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(isRunning.value).toBe(false)
    expect(read).toHaveBeenCalledTimes(2)
  })

  it('that was refused is found among the refused ones, and not looked for any more', async () => {
    read.mockResolvedValue(null)
    refused.mockResolvedValueOnce(null).mockResolvedValue({ code: 'no_account' } as Refusal)
    const { value, refusal, isMissing } = opened()
    await vi.advanceTimersByTimeAsync(0)
    expect(isMissing.value).toBe(true)
    await vi.advanceTimersByTimeAsync(60_000)
    expect([value.value, refusal.value?.code, isMissing.value]).toEqual([null, 'no_account', false])
    expect(read).toHaveBeenCalledTimes(2)
  })

  it('that has a record is not looked for among the refused ones', async () => {
    read.mockResolvedValue(record('completed'))
    opened()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(refused).not.toHaveBeenCalled()
  })
})
