/** The list of rejected records, and how many there are. */
import { ref } from 'vue'
import { listRejected, type Rejected } from '@/api/usage'
import { usePagedList } from '@/composables/usePagedList'

export function useRejected() {
  /** Of all pages; the server counts no further than `MOST_COUNTED`. */
  const total = ref(0)

  const list = usePagedList<Rejected, never>({
    filters: [],
    load: async (query) => {
      const page = await listRejected(query)
      total.value = page.total
      return { rows: page.records, next: page.next_cursor ?? null }
    },
  })

  return { list, total }
}
