/** What the ledger says of a request: it gets there a moment after the answer's end, so it is asked for a while. */
import { computed, ref, shallowRef } from 'vue'
import { readRecord, type UsageRecord } from '@/api/usage'
import { useRefresh } from '@/composables/useRefresh'

const EVERY_MS = 500
const MOST = 20

/** `late`: the time is over, and the request is not there or still runs. */
export type Looking = 'looking' | 'found' | 'late'

export function useLedgerRecord() {
  const requestId = ref<string | null>(null)
  const record = shallowRef<UsageRecord | null>(null)
  const isFound = computed(() => record.value !== null && record.value.outcome !== 'open')
  const { isOver, begin } = useRefresh(read, { everyMs: EVERY_MS, wanted: () => requestId.value !== null && !isFound.value, most: MOST })
  const looking = computed<Looking>(() => (isFound.value ? 'found' : isOver.value ? 'late' : 'looking'))

  async function read() {
    const asked = requestId.value
    if (asked === null) return
    const found = await readRecord(asked, false)
    if (asked === requestId.value) record.value = found
  }

  function look(id: string) {
    clear()
    requestId.value = id
    begin()
  }

  /** Looks no more, and shows nothing. */
  function clear() {
    requestId.value = null
    record.value = null
  }

  return { record, looking, look, clear }
}
