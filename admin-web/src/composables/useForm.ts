/**
 * A form of one thing: a draft, what of it differs from what was read, and the way to save it.
 *
 * Only what the person changed is sent, with the ETag of what they saw. When somebody else was quicker (412), the
 * latest is read and the person's own changes are laid over it; `conflicts` names what both changed, and nothing is
 * saved until the person says so again.
 */
import { computed, reactive, ref, shallowRef, toRaw, type InjectionKey } from 'vue'
import type { Tagged } from '@/api/client'
import { Problem, type FieldError } from '@/api/problem'
import { warnBeforeUnload } from './useLeaveGuard'

export interface FormOptions<Draft extends object> {
  /** What a new thing begins as, and the shape of the draft. */
  empty: () => Draft
  /** Reads the thing as a draft; absent: the form makes a new one. */
  load?: () => PromiseLike<Tagged<Draft>>
  /** What is wrong with the draft already here; with anything in it, nothing is sent. */
  check?: (draft: Draft) => FieldError[]
  /** `etag` is empty for a new thing; `changes` then is the whole draft. */
  save: (changes: Partial<Draft>, etag: string, draft: Draft) => PromiseLike<unknown>
}

/** Somebody else changed this too, to `theirs`. */
export interface Conflict {
  field: string
  theirs: unknown
}

/** What `FormPage` offers to the fields in it. */
export interface FormErrors {
  /** The message for a field's path; empty: none. */
  errorOf: (path: string) => string
  /** From now on this path's errors are shown at its field; returns the way to end that. */
  claim: (path: string) => () => void
}
export const FORM_ERRORS: InjectionKey<FormErrors> = Symbol('form errors')

export type Form<Draft extends object = object> = ReturnType<typeof useForm<Draft>>

export function useForm<Draft extends object>(options: FormOptions<Draft>) {
  const isNew = options.load === undefined
  const draft = reactive(options.empty()) as Draft
  const original = shallowRef<Draft>(options.empty())
  const etag = ref('')
  const loading = ref(!isNew)
  /** There is something to show: a new thing, or one that was read. */
  const isLoaded = ref(isNew)
  const saving = ref(false)
  const saved = ref(false)
  const problem = shallowRef<Problem | null>(null)
  const conflicts = shallowRef<Conflict[] | null>(null)
  const claimed = reactive(new Map<string, number>())

  const changes = computed(() => differing(draft, original.value))
  const isDirty = computed(() => !saved.value && Object.keys(changes.value).length > 0)
  /** Errors that no field on the page shows. */
  const unclaimed = computed(() => (problem.value?.errors ?? []).filter((error) => !claimed.has(claimOf(error.field))))

  function errorOf(path: string) {
    return (problem.value?.errors ?? []).filter((error) => claimOf(error.field) === path).map((error) => error.message).join('; ')
  }

  /** The longest path with a field on the page that the error is within: `group_ids[2]` is shown at `group_ids`. */
  function claimOf(field: string) {
    for (let path = field; path !== ''; path = path.replace(/[.[]?[^.[]*$/, '')) if (claimed.has(path)) return path
    return field
  }

  function claim(path: string) {
    claimed.set(path, (claimed.get(path) ?? 0) + 1)
    return () => {
      const left = (claimed.get(path) ?? 1) - 1
      if (left > 0) claimed.set(path, left)
      else claimed.delete(path)
    }
  }

  async function load() {
    if (options.load === undefined) return
    loading.value = true
    try {
      const read = await options.load()
      original.value = read.value
      etag.value = read.etag
      Object.assign(draft, structuredClone(read.value))
      saved.value = false
      isLoaded.value = true
      problem.value = null
      conflicts.value = null
    } catch (thrown) {
      problem.value = Problem.from(thrown)
    } finally {
      loading.value = false
    }
  }

  /** True: it is saved. */
  async function submit(): Promise<boolean> {
    if (saving.value) return false
    saving.value = true
    try {
      const plain = structuredClone(toRawDeep(draft))
      const wrong = options.check?.(plain) ?? []
      if (wrong.length > 0) throw Problem.invalid(wrong)
      await options.save(isNew ? plain : structuredClone(toRawDeep(changes.value)), etag.value, plain)
      saved.value = true
      return true
    } catch (thrown) {
      problem.value = Problem.from(thrown)
      if (problem.value.code === 'stale_revision') await rebase().catch((again: unknown) => (problem.value = Problem.from(again)))
      return false
    } finally {
      saving.value = false
    }
  }

  async function rebase() {
    if (options.load === undefined) return
    const mine = structuredClone(toRawDeep(changes.value))
    const before = original.value
    const read = await options.load()
    const theirs: Partial<Draft> = differing(read.value, before)
    original.value = read.value
    etag.value = read.etag
    Object.assign(draft, structuredClone(read.value), mine)
    conflicts.value = keysOf(theirs)
      .filter((field) => field in mine && !isSame(mine[field], theirs[field]))
      .map((field) => ({ field, theirs: theirs[field] }))
    problem.value = null
  }

  /** After the page itself changed the thing: reads it again, and keeps what the person typed. */
  async function refresh() {
    await rebase().catch((thrown: unknown) => (problem.value = Problem.from(thrown)))
    if (conflicts.value?.length === 0) conflicts.value = null
  }

  /** Gives up the person's own changes; a form of something new is as it began. */
  function discard() {
    Object.assign(draft, structuredClone(original.value))
    saved.value = false
    problem.value = null
    conflicts.value = null
  }

  if (!isNew) void load()
  warnBeforeUnload(() => isDirty.value)
  return { isNew, draft, loading, isLoaded, saving, problem, conflicts, unclaimed, isDirty, changes, errorOf, claim, load, refresh, submit, discard }
}

/** The fields of `now` that are not as in `before`. */
export function differing<T extends object>(now: T, before: T): Partial<T> {
  return Object.fromEntries(keysOf(now).filter((key) => !isSame(now[key], before[key])).map((key) => [key, now[key]])) as Partial<T>
}

function isSame(a: unknown, b: unknown) {
  return JSON.stringify(a) === JSON.stringify(b)
}

function keysOf<T extends object>(thing: T) {
  return Object.keys(thing) as (keyof T & string)[]
}

/** Proxies can't be cloned. */
function toRawDeep<T>(value: T): T {
  const raw = toRaw(value)
  if (Array.isArray(raw)) return raw.map(toRawDeep) as T
  if (typeof raw !== 'object' || raw === null) return raw
  return Object.fromEntries(Object.entries(raw).map(([key, inner]) => [key, toRawDeep(inner)])) as T
}
