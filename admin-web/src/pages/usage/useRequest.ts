/**
 * One request's record, or why there is none: the gateway refused it. It is read again while the request runs, and for a
 * while if it is not there yet.
 */
import { computed, ref, shallowRef, watch } from 'vue'
import { readRefusal, type Refusal } from '@/api/refusals'
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
  const refusal = shallowRef<Refusal | null>(null)
  const resource = useResource(async () => {
    const record = await readRecord(requestId, session.may('viewer'))
    refusal.value = record === null ? await readRefusal(requestId, session.may('viewer')) : null
    return record
  })
  const { value, loading, problem, reload } = resource
  const wasRead = ref(false)
  watch(loading, () => (wasRead.value = true), { flush: 'sync' })
  const isMissing = computed(() => wasRead.value && value.value === null && refusal.value === null && problem.value === null)
  useRefresh(reload, { everyMs: EVERY_MS, wanted: () => isMissing.value, most: MOST_WHILE_MISSING })
  const isRunning = computed(() => value.value?.outcome === 'open')
  const { isOver, begin } = useRefresh(reload, { everyMs: EVERY_MS, wanted: () => isRunning.value, most: MOST })
  return { ...resource, refusal, isMissing, isRunning, isOver, begin }
}
