import { mount } from '@vue/test-utils'
import { describe, expect, it, vi } from 'vitest'
import { defineComponent } from 'vue'
import { Problem } from '@/api/problem'
import { useForm, type FormOptions } from './useForm'

interface Thing {
  name: string
  weight: number
  tags: string[]
}

/** A row at the server, changed by whoever comes with its ETag. */
class Row {
  value: Thing = { name: 'one', weight: 1, tags: ['a'] }
  revision = 1
  sent: Partial<Thing>[] = []

  load = () => Promise.resolve({ value: structuredClone(this.value), etag: String(this.revision) })

  save = (changes: Partial<Thing>, etag: string) => {
    if (etag !== String(this.revision)) return Promise.reject(new Problem(412, 'stale_revision', 'changed'))
    this.sent.push(changes)
    this.change(changes)
    return Promise.resolve()
  }

  change(changes: Partial<Thing>) {
    this.value = { ...this.value, ...changes }
    this.revision += 1
  }
}

async function formOf(options: Partial<FormOptions<Thing>>) {
  let form: ReturnType<typeof useForm<Thing>> | undefined
  const empty = (): Thing => ({ name: '', weight: 0, tags: [] })
  mount(defineComponent({
    setup() {
      form = useForm<Thing>({ empty, save: () => Promise.resolve(), ...options })
      return () => null
    },
  }))
  await vi.waitFor(() => expect(form?.loading.value).toBe(false))
  if (form === undefined) throw new Error('not set up')
  return form
}

describe('a form', () => {
  it('sends only what was changed', async () => {
    const row = new Row()
    const form = await formOf(row)
    expect(form.isDirty.value).toBe(false)
    form.draft.tags.push('b')
    expect(form.isDirty.value).toBe(true)
    expect(await form.submit()).toBe(true)
    expect(row.sent).toEqual([{ tags: ['a', 'b'] }])
    expect(form.isDirty.value).toBe(false)
  })

  it('sends all of something new', async () => {
    const save = vi.fn(() => Promise.resolve())
    const form = await formOf({ save })
    form.draft.name = 'new'
    await form.submit()
    expect(save).toHaveBeenCalledWith({ name: 'new', weight: 0, tags: [] }, '', expect.anything())
  })

  it('overwrites nobody: it shows theirs, keeps mine, and asks again', async () => {
    const row = new Row()
    const form = await formOf(row)
    form.draft.name = 'mine'
    form.draft.weight = 5
    row.change({ weight: 9, tags: ['theirs'] })
    expect(await form.submit()).toBe(false)
    expect(row.value).toEqual({ name: 'one', weight: 9, tags: ['theirs'] })
    expect(form.draft).toEqual({ name: 'mine', weight: 5, tags: ['theirs'] })
    expect(form.conflicts.value).toEqual([{ field: 'weight', theirs: 9 }])
    expect(await form.submit()).toBe(true)
    expect(row.sent).toEqual([{ name: 'mine', weight: 5 }])
  })

  it('goes on from what its own page changed, with what was typed kept', async () => {
    const row = new Row()
    const form = await formOf(row)
    form.draft.name = 'mine'
    row.change({ weight: 9 })
    await form.refresh()
    expect(form.draft).toEqual({ name: 'mine', weight: 9, tags: ['a'] })
    expect(form.conflicts.value).toBeNull()
    expect(await form.submit()).toBe(true)
    expect(row.sent).toEqual([{ name: 'mine' }])
  })

  it('shows an error at the field that its path is in, and the rest in one place', async () => {
    const errors = [{ field: 'tags[1]', message: 'is too long' }, { field: 'weight', message: 'is too big' }, { field: 'weightless', message: 'is unknown' }]
    const form = await formOf({ save: () => Promise.reject(new Problem(422, 'invalid_fields', '', errors)) })
    const release = form.claim('tags')
    form.claim('weight')
    await form.submit()
    expect(form.errorOf('tags')).toBe('is too long')
    expect(form.errorOf('weight')).toBe('is too big')
    expect(form.unclaimed.value.map(({ field }) => field)).toEqual(['weightless'])
    release()
    expect(form.unclaimed.value.map(({ field }) => field)).toEqual(['tags[1]', 'weightless'])
  })

  it('sends nothing that its own check refuses', async () => {
    const save = vi.fn(() => Promise.resolve())
    const form = await formOf({ save, check: () => [{ field: 'name', message: 'is missing' }] })
    expect(await form.submit()).toBe(false)
    expect(save).not.toHaveBeenCalled()
  })

  it('keeps what was typed when saving fails', async () => {
    const row = new Row()
    const form = await formOf({ ...row, load: row.load, save: () => Promise.reject(Problem.unreachable()) })
    form.draft.name = 'typed'
    expect(await form.submit()).toBe(false)
    expect(form.draft.name).toBe('typed')
    expect(form.problem.value?.code).toBe('unreachable')
    form.discard()
    expect(form.draft.name).toBe('one')
  })

  it('says what went wrong when it could not be read, and reads again', async () => {
    const row = new Row()
    const load = vi.fn(row.load).mockRejectedValueOnce(new Problem(503, 'database_busy', ''))
    const form = await formOf({ load, save: row.save })
    expect(form.isLoaded.value).toBe(false)
    expect(form.problem.value?.code).toBe('database_busy')
    await form.load()
    expect(form.isLoaded.value).toBe(true)
    expect(form.draft.name).toBe('one')
  })
})
