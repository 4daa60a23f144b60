import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { away } from '@/api/connection'
import { useRefresh, type RefreshOptions } from './useRefresh'

let visibility: DocumentVisibilityState = 'visible'

function look(state: DocumentVisibilityState) {
  visibility = state
  document.dispatchEvent(new Event('visibilitychange'))
}

function refreshing(read: () => PromiseLike<unknown>, options: Partial<RefreshOptions> = {}) {
  let refresh!: ReturnType<typeof useRefresh>
  const page = mount({ template: '<p />', setup: () => void (refresh = useRefresh(read, { everyMs: 1_000, ...options })) })
  return { page, refresh }
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(document, 'visibilityState', 'get').mockImplementation(() => visibility)
})
afterEach(() => {
  visibility = 'visible'
  away.value = false
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('a refresh', () => {
  it('reads every so often until the page goes', async () => {
    const read = vi.fn().mockResolvedValue(null)
    const { page } = refreshing(read)
    await vi.advanceTimersByTimeAsync(3_500)
    expect(read).toHaveBeenCalledTimes(3)
    page.unmount()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(read).toHaveBeenCalledTimes(3)
  })

  it('goes on after a reading that failed', async () => {
    const read = vi.fn().mockRejectedValue(new Error('no'))
    refreshing(read)
    await vi.advanceTimersByTimeAsync(2_500)
    expect(read).toHaveBeenCalledTimes(2)
  })

  it('does not ask again while the last answer is waited for', async () => {
    let answer!: () => void
    const read = vi.fn(() => new Promise<void>((resolve) => (answer = resolve)))
    refreshing(read)
    await vi.advanceTimersByTimeAsync(5_000)
    look('visible')
    expect(read).toHaveBeenCalledTimes(1)
    answer()
    await flushPromises()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(read).toHaveBeenCalledTimes(2)
  })

  it('rests while nobody looks, and reads at once when somebody does', async () => {
    const read = vi.fn().mockResolvedValue(null)
    refreshing(read)
    look('hidden')
    await vi.advanceTimersByTimeAsync(10_000)
    expect(read).not.toHaveBeenCalled()
    look('visible')
    expect(read).toHaveBeenCalledTimes(1)
  })

  it('rests while the server is away, or while it is not wanted', async () => {
    const read = vi.fn().mockResolvedValue(null)
    let isWanted = true
    refreshing(read, { wanted: () => isWanted })
    away.value = true
    await vi.advanceTimersByTimeAsync(2_000)
    away.value = false
    isWanted = false
    await vi.advanceTimersByTimeAsync(2_000)
    expect(read).not.toHaveBeenCalled()
    isWanted = true
    await vi.advanceTimersByTimeAsync(1_000)
    expect(read).toHaveBeenCalledTimes(1)
  })

  it('ends after so many readings, until it is begun again', async () => {
    const read = vi.fn().mockResolvedValue(null)
    const { refresh } = refreshing(read, { most: 2 })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(read).toHaveBeenCalledTimes(2)
    expect(refresh.isOver.value).toBe(true)
    refresh.begin()
    expect(refresh.isOver.value).toBe(false)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(read).toHaveBeenCalledTimes(4)
  })
})
