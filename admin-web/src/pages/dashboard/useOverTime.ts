/** Requests, tokens and cost by hour or by day. */
import { ref, watch } from 'vue'
import { readDays, readHours } from '@/api/usage'
import { useRefresh } from '@/composables/useRefresh'
import { useResource } from '@/composables/useResource'
import { useSession } from '@/stores/session'
import { filled, startsOf, type Period, type Point } from './series'

const EVERY_MS = 60_000

export function useOverTime() {
  const session = useSession()
  const period = ref<Period>('day')

  const resource = useResource(async () => {
    const [asked, readsAll] = [period.value, session.may('viewer')]
    const starts = startsOf(asked, Date.now())
    return { period: asked, points: filled(starts, await known(asked, readsAll, starts[0] ?? 0), readsAll) }
  })
  watch(period, () => void resource.reload())
  useRefresh(resource.reload, { everyMs: EVERY_MS })

  return { ...resource, period }
}

async function known(period: Period, readsAll: boolean, from: number): Promise<Point[]> {
  if (period === 'day') return (await readHours(readsAll, from)).hours.map((counts) => ({ start: counts.hour_start, counts }))
  return (await readDays(readsAll, from)).days.map((counts) => ({ start: counts.day_start, counts }))
}
