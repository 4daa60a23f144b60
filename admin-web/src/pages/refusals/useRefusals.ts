/** The list of refused requests with their counts: one's own, or for who reads all everyone's unless they want only theirs. */
import { computed, watch } from 'vue'
import { useRoute } from 'vue-router'
import { countRefusals, listRefusals, type Refusal } from '@/api/refusals'
import { usePagedList } from '@/composables/usePagedList'
import { useResource } from '@/composables/useResource'
import { useSession } from '@/stores/session'
import { FILTERS, refusalQuery, type Filter } from './rules'

export type RefusalList = ReturnType<typeof useRefusals>

export function useRefusals() {
  const session = useSession()
  const route = useRoute()
  const readsAll = computed(() => session.may('viewer') && route.query.mine !== 'true')

  const list = usePagedList<Refusal, Filter>({
    filters: FILTERS,
    views: ['mine'],
    load: async ({ limit, cursor, ...filters }) => {
      const page = await listRefusals(readsAll.value, { ...refusalQuery(filters, readsAll.value, Date.now()), limit, cursor })
      return { rows: page.refusals, next: page.next_cursor ?? null }
    },
  })

  const path = route.path
  const counts = useResource(() => countRefusals(readsAll.value, refusalQuery(list.filters.value, readsAll.value, Date.now())))
  watch(() => JSON.stringify(list.filters.value), () => route.path === path && void counts.reload())

  return { list, counts, readsAll }
}
