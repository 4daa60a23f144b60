import { flushPromises, mount } from '@vue/test-utils'
import { describe, expect, it, vi } from 'vitest'
import { defineComponent } from 'vue'
import { createMemoryHistory, createRouter } from 'vue-router'
import { recoveries } from '@/api/connection'
import { Problem } from '@/api/problem'
import { usePagedList, type PageQuery } from './usePagedList'

type Filters = 'search' | 'state'
type Asked = PageQuery<Record<Filters, string>>

/** A list of 120 rows, paged as the server does. */
function rowsOf({ limit, cursor, search }: Asked) {
  const all = Array.from({ length: 120 }, (_, index) => `row ${index}`).filter((row) => row.includes(search ?? ''))
  const start = Number(cursor ?? 0)
  const end = start + limit
  return Promise.resolve({ rows: all.slice(start, end), next: end < all.length ? String(end) : null })
}

async function listAt(address: string, load = vi.fn(rowsOf)) {
  const component = defineComponent({
    setup: () => ({ list: usePagedList<string, Filters>({ filters: ['search', 'state'], load }) }),
    render: () => null,
  })
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/things', component }] })
  await router.push(address)
  const mounted = mount(component, { global: { plugins: [router] } })
  await flushPromises()
  return { list: mounted.vm.list, router, load }
}

describe('a paged list', () => {
  it('asks with what stands in the address', async () => {
    const { list, load } = await listAt('/things?search=row+1&limit=25')
    expect(load).toHaveBeenCalledWith({ search: 'row 1', limit: 25 })
    expect(list.rows.value).toHaveLength(25)
    expect(list.isFiltered.value).toBe(true)
  })

  it('goes a page forth and back, and keeps both in the address', async () => {
    const { list, router } = await listAt('/things')
    await list.goNext()
    await flushPromises()
    expect(list.rows.value[0]).toBe('row 50')
    expect(router.currentRoute.value.query.cursor).toBe('50')
    await list.goNext()
    await flushPromises()
    expect(list.hasNext.value).toBe(false)
    await list.goBack()
    await flushPromises()
    expect(list.rows.value[0]).toBe('row 50')
    await list.goBack()
    await flushPromises()
    expect(list.rows.value[0]).toBe('row 0')
    expect(list.hasBack.value).toBe(false)
  })

  it('begins at the first page when a filter changes', async () => {
    const { list, router } = await listAt('/things?cursor=50')
    await list.filter('search', '11')
    await flushPromises()
    expect(router.currentRoute.value.query).toEqual({ search: '11' })
    expect(list.rows.value[0]).toBe('row 11')
    await list.clearFilters()
    await flushPromises()
    expect(list.isFiltered.value).toBe(false)
    expect(list.rows.value).toHaveLength(50)
  })

  it('shows the answer to the last question, however they come in', async () => {
    let answer: (page: Awaited<ReturnType<typeof rowsOf>>) => void = () => undefined
    const slow: ReturnType<typeof rowsOf> = new Promise((resolve) => (answer = resolve))
    const load = vi.fn(rowsOf).mockReturnValueOnce(slow)
    const { list } = await listAt('/things', load)
    await list.filter('search', '7')
    await flushPromises()
    answer({ rows: ['late'], next: null })
    await flushPromises()
    expect(list.rows.value[0]).toBe('row 7')
  })

  it('says what failed, and reads again once the server is back', async () => {
    const load = vi.fn(rowsOf).mockRejectedValueOnce(Problem.unreachable())
    const { list } = await listAt('/things', load)
    expect(list.problem.value?.code).toBe('unreachable')
    recoveries.value += 1
    await flushPromises()
    expect(list.problem.value).toBeNull()
    expect(list.rows.value).toHaveLength(50)
  })
})
