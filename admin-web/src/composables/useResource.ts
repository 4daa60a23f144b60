/** Something that a page shows and does not page through: read now, when asked, and when the server is back. */
import { ref, shallowRef, watch } from 'vue'
import { recoveries } from '@/api/connection'
import { Problem } from '@/api/problem'

export type Resource<T> = ReturnType<typeof useResource<T>>

export function useResource<T>(read: () => PromiseLike<T>) {
  const value = shallowRef<T | null>(null)
  const loading = ref(true)
  const problem = shallowRef<Problem | null>(null)
  let latest = 0

  async function reload() {
    const mine = ++latest
    loading.value = true
    try {
      const got = await read()
      if (mine !== latest) return
      value.value = got
      problem.value = null
    } catch (thrown) {
      if (mine === latest) problem.value = Problem.from(thrown)
    } finally {
      if (mine === latest) loading.value = false
    }
  }

  void reload()
  watch(recoveries, () => void reload())
  return { value, loading, problem, reload }
}
