/** The form of one account: a new one of a type, or one that is there. */
import { computed, shallowRef } from 'vue'
import { useI18n } from 'vue-i18n'
import { createAccount, readAccount, updateAccount, type Account, type AccountTypes } from '@/api/accounts'
import { Problem } from '@/api/problem'
import { useForm } from '@/composables/useForm'
import { draftOf, emptyDraft, fieldsOf, inputOf, missing, shapeOf, type Draft, type Value } from './rules'
import { useFieldNames } from './useFieldNames'

/** `type`: of a new account. `id`: of one that is there. */
export function useAccountForm(types: AccountTypes, { type, id }: { type?: string; id?: string }) {
  const { t } = useI18n()
  const names = useFieldNames()
  const account = shallowRef<Account | null>(null)
  const shape = shallowRef(type === undefined ? null : shapeOf(types, type))
  let before: Draft | null = null

  async function load(of: string) {
    const { value, etag } = await readAccount(of)
    const found = shapeOf(types, value.type)
    if (found === null) throw new Problem(0, 'unknown_account_type', value.type)
    shape.value = found
    account.value = value
    before = draftOf(found, value)
    return { value: before, etag }
  }

  async function save(changes: Partial<Draft>, etag: string, draft: Draft) {
    if (shape.value === null) return
    const input = inputOf(shape.value, draft, changes, id === undefined)
    account.value = id === undefined ? await createAccount(input) : await updateAccount(id, etag, input)
  }

  const form = useForm<Draft>({
    empty: () => (shape.value === null ? {} : emptyDraft(shape.value)),
    load: id === undefined ? undefined : () => load(id),
    check: (draft) => (shape.value === null ? [] : missing(shape.value, draft, before, t('form.required'))),
    save,
  })
  const labels = computed(() => {
    const paths = shape.value === null ? [] : ['credentials', ...fieldsOf(shape.value).map(({ path }) => path)]
    return Object.fromEntries(paths.map((path) => [path, names.labelOf(path)]))
  })

  function inWords(path: string, value: unknown) {
    const placed = shape.value === null ? [] : fieldsOf(shape.value)
    return names.inWords(path, placed.find((field) => field.path === path)?.field.kind, value as Value)
  }

  return { form, shape, account, labels, inWords }
}
