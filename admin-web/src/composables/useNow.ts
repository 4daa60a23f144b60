/** The time, by the half minute: one clock for all that shows distances. */
import { onBeforeUnmount, ref, readonly } from 'vue'

export const TICK_MS = 30_000
const now = ref(Date.now())
let users = 0
let timer: ReturnType<typeof setInterval> | undefined

export function useNow() {
  if (users++ === 0) {
    now.value = Date.now()
    timer = setInterval(() => (now.value = Date.now()), TICK_MS)
  }
  onBeforeUnmount(() => {
    if (--users === 0) clearInterval(timer)
  })
  return readonly(now)
}
