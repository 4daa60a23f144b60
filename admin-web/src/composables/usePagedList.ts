/**
 * A list that the server pages and filters. Filters, page size and cursor live in the address, so that a list can be
 * linked to, survives a reload, and the browser's back goes a page back.
 */
import { computed, ref, shallowRef, watch } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import { recoveries } from '@/api/connection'
import { Problem } from '@/api/problem'

export interface PageOf<Row> {
  rows: Row[]
  /** Null: this is the last page. */
  next: string | null
}

/** What a page is asked with; filters that are not set are left out. */
export type PageQuery<F> = { [K in keyof F]?: F[K] } & { limit: number; cursor?: string }

export const PAGE_SIZES = [25, 50, 100, 200]
const DEFAULT_SIZE = 50

export type PagedList<Row, F extends string = string> = ReturnType<typeof usePagedList<Row, F>>

export function usePagedList<Row, F extends string>(options: {
  /** The names of the list's filters, each a text in the address. */
  filters: readonly F[]
  /** Those of them that say which list it is, such as one's own: they count as no filter, and clearing keeps them. */
  views?: readonly F[]
  load: (query: PageQuery<Record<F, string>>) => PromiseLike<PageOf<Row>>
}) {
  const route = useRoute()
  const router = useRouter()
  const path = route.path
  const rows = shallowRef<Row[]>([])
  const next = ref<string | null>(null)
  const loading = ref(true)
  const isLoaded = ref(false)
  const problem = shallowRef<Problem | null>(null)
  /** The cursors of the pages before this one, as far as this visit went through them. */
  const before = ref<string[]>([])
  let latest = 0

  const text = (name: string) => (typeof route.query[name] === 'string' ? route.query[name] : '')
  const cursor = computed(() => text('cursor'))
  const size = computed(() => {
    const asked = Number(text('limit'))
    return PAGE_SIZES.includes(asked) ? asked : DEFAULT_SIZE
  })
  const filters = computed(() => Object.fromEntries(options.filters.map((name) => [name, text(name)])) as Record<F, string>)
  const clearable = options.filters.filter((name) => !options.views?.includes(name))
  const isFiltered = computed(() => clearable.some((name) => text(name) !== ''))

  async function reload() {
    loading.value = true
    await refresh()
  }

  /** Reads the same page again, without a sign of it unless that fails. */
  async function refresh() {
    const mine = ++latest
    const set = Object.entries(filters.value).filter(([, value]) => value !== '')
    const query = { ...Object.fromEntries(set), limit: size.value, ...(cursor.value === '' ? {} : { cursor: cursor.value }) }
    try {
      const page = await options.load(query as PageQuery<Record<F, string>>)
      if (mine !== latest) return
      rows.value = page.rows
      next.value = page.next
      problem.value = null
      isLoaded.value = true
    } catch (thrown) {
      if (mine === latest) problem.value = Problem.from(thrown)
    } finally {
      if (mine === latest) loading.value = false
    }
  }

  function go(changes: Record<string, string | undefined>, remember: boolean) {
    const query = Object.fromEntries(Object.entries({ ...route.query, ...changes }).filter(([, value]) => value))
    return remember ? router.push({ query }) : router.replace({ query })
  }

  const filter = (name: F, value: string) => filterBy({ [name]: value } as Partial<Record<F, string>>)

  const clearFilters = () => filterBy(Object.fromEntries(clearable.map((name) => [name, ''])) as Record<F, string>)

  /** Sets several filters at once, and begins at the first page again. */
  function filterBy(changes: Partial<Record<F, string>>) {
    before.value = []
    return go({ ...changes, cursor: undefined }, false)
  }

  function resize(limit: number) {
    before.value = []
    return go({ limit: limit === DEFAULT_SIZE ? undefined : String(limit), cursor: undefined }, false)
  }

  function goNext() {
    if (next.value === null) return
    before.value = [...before.value, cursor.value]
    return go({ cursor: next.value }, true)
  }

  function goBack() {
    const previous = before.value.at(-1) ?? ''
    before.value = before.value.slice(0, -1)
    return go({ cursor: previous }, true)
  }

  const shown = () => (route.path === path ? JSON.stringify([filters.value, size.value, cursor.value]) : null)
  watch(shown, (now) => now !== null && void reload(), { immediate: true })
  watch(recoveries, () => void reload())

  return {
    rows, loading, isLoaded, problem, filters, isFiltered, size,
    hasNext: computed(() => next.value !== null),
    hasBack: computed(() => cursor.value !== ''),
    reload, refresh, filter, filterBy, clearFilters, resize, goNext, goBack,
  }
}
