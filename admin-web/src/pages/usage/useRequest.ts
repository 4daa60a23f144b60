/** One request's record; while the request runs, it is read again until it is over. */
import { computed } from 'vue'
import { readRecord } from '@/api/usage'
import { useRefresh } from '@/composables/useRefresh'
import { useResource } from '@/composables/useResource'
import { useSession } from '@/stores/session'

const EVERY_MS = 2_000
/** Ten minutes; a stream may run for longer, and then a person asks. */
const MOST = 300

export function useRequest(requestId: string) {
  const session = useSession()
  const resource = useResource(() => readRecord(requestId, session.may('viewer')))
  const isRunning = computed(() => resource.value.value?.outcome === 'open')
  const { isOver, begin } = useRefresh(resource.reload, { everyMs: EVERY_MS, wanted: () => isRunning.value, most: MOST })
  return { ...resource, isRunning, isOver, begin }
}
