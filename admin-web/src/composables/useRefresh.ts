/**
 * Reads again every so often, for as long as the page is seen, the server can be reached and it is wanted. One reading
 * is over before the next is waited for, so that a slow server is not asked twice.
 */
import { computed, onBeforeUnmount, ref } from 'vue'
import { away } from '@/api/connection'

export interface RefreshOptions {
  everyMs: number
  /** Absent: always. */
  wanted?: () => boolean
  /** Readings at the most; `begin` allows as many again. Absent: no bound. */
  most?: number
}

export function useRefresh(read: () => PromiseLike<unknown>, { everyMs, wanted = () => true, most = Infinity }: RefreshOptions) {
  const readings = ref(0)
  let timer: ReturnType<typeof setTimeout> | undefined
  let isReading = false
  let isGone = false

  async function tick() {
    if (isReading) return
    const isSeen = document.visibilityState === 'visible'
    if (isSeen && !away.value && wanted() && readings.value < most) {
      readings.value += 1
      isReading = true
      await Promise.resolve(read()).catch(() => null)
      isReading = false
    }
    wait()
  }

  function wait() {
    clearTimeout(timer)
    if (!isGone) timer = setTimeout(() => void tick(), everyMs)
  }

  /** What was missed while nobody looked is read at once. */
  function seen() {
    if (document.visibilityState !== 'visible') return
    clearTimeout(timer)
    void tick()
  }

  document.addEventListener('visibilitychange', seen)
  onBeforeUnmount(() => {
    isGone = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', seen)
  })
  wait()

  return {
    /** It has read as often as it may. */
    isOver: computed(() => readings.value >= most),
    begin: () => {
      readings.value = 0
      void tick()
    },
  }
}
