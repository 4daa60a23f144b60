/** One request's record; it is read again while the request runs, and for a while if it is not there yet. */
import { computed, ref, watch } from 'vue'
import { readRecord } from '@/api/usage'
import { useRefresh } from '@/composables/useRefresh'
import { useResource } from '@/composables/useResource'
import { useSession } from '@/stores/session'

const EVERY_MS = 2_000
/** Ten minutes; a stream may run for longer, and then a person asks. */
const MOST = 300
/** Half a minute: a node reports a request within seconds, and people are here sooner than that. */
const MOST_WHILE_MISSING = 15

export function useRequest(requestId: string) {
  const session = useSession()
  const resource = useResource(() => readRecord(requestId, session.may('viewer')))
  const { value, loading, problem, reload } = resource
  const wasRead = ref(false)
  watch(loading, () => (wasRead.value = true), { flush: 'sync' })
  const isMissing = computed(() => wasRead.value && value.value === null && problem.value === null)
  useRefresh(reload, { everyMs: EVERY_MS, wanted: () => isMissing.value, most: MOST_WHILE_MISSING })
  const isRunning = computed(() => value.value?.outcome === 'open')
  const { isOver, begin } = useRefresh(reload, { everyMs: EVERY_MS, wanted: () => isRunning.value, most: MOST })
  return { ...resource, isMissing, isRunning, isOver, begin }
}
