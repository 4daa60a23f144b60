/** The list of usage records: one's own, or for who reads all everyone's unless they want only theirs. */
import { computed } from 'vue'
import { useRoute } from 'vue-router'
import { listAllRecords, listOwnRecords, type UsageRecord } from '@/api/usage'
import { usePagedList } from '@/composables/usePagedList'
import { useSession } from '@/stores/session'
import { FILTERS, recordQuery, type Filter } from './rules'

export type UsageRecordList = ReturnType<typeof useUsageRecords>

export function useUsageRecords() {
  const session = useSession()
  const route = useRoute()
  const readsAll = computed(() => session.may('viewer') && route.query.mine !== 'true')

  const list = usePagedList<UsageRecord, Filter>({
    filters: FILTERS,
    views: ['mine'],
    load: async ({ limit, cursor, ...filters }) => {
      const query = { ...recordQuery(filters, readsAll.value, Date.now()), limit, cursor }
      const page = await (readsAll.value ? listAllRecords(query) : listOwnRecords(query))
      return { rows: page.records, next: page.next_cursor ?? null }
    },
  })

  return { list, readsAll }
}
