/** The list of nodes, read again every few seconds. */
import { shallowRef } from 'vue'
import { listNodes, type Node, type Revision, type Withheld } from '@/api/nodes'
import { usePagedList } from '@/composables/usePagedList'
import { useRefresh } from '@/composables/useRefresh'

const EVERY_MS = 4_000

export function useNodes() {
  /** What nodes should have. */
  const desired = shallowRef<Revision | null>(null)
  /** Why they get none of it. */
  const withheld = shallowRef<Withheld | null>(null)

  const list = usePagedList<Node, 'health'>({
    filters: ['health'],
    load: async (query) => {
      const page = await listNodes(query)
      desired.value = page.desired
      withheld.value = page.withheld ?? null
      return { rows: page.nodes, next: page.next_cursor ?? null }
    },
  })
  useRefresh(list.refresh, { everyMs: EVERY_MS })

  return { list, desired, withheld }
}
