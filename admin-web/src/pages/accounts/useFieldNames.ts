/** What the fields, choices and credentials of accounts are called; what the server adds goes by the server's word. */
import { useI18n } from 'vue-i18n'
import type { Field } from '@/api/accounts'
import { formatTime } from '@/format'
import { isUnset, type Value } from './rules'

export function useFieldNames() {
  const { t, te, locale } = useI18n()
  const named = (key: string, otherwise: string) => (te(key) ? t(key) : otherwise)

  function labelOf(path: string) {
    return path === 'credentials' ? t('accounts.credentials') : named(`accounts.fields.${path}`, path.split('.').at(-1) ?? path)
  }

  const choiceOf = (path: string, choice: string) => named(`accounts.choices.${path}.${choice}`, choice)
  const credentialKindOf = (kind: string) => named(`accounts.credentialKinds.${kind}`, kind)

  /** `kind` is undefined for the choice among forms of credentials. */
  function inWords(path: string, kind: Field['kind'] | undefined, value: Value): string {
    if (isUnset(value)) return t('common.none')
    if (typeof value === 'boolean') return t(value ? 'common.yes' : 'common.no')
    if (Array.isArray(value)) return value.join(', ')
    if (typeof value === 'object' && value !== null) return Object.entries(value).map(([from, to]) => `${from} → ${to}`).join(', ')
    if (kind === 'time') return formatTime(Number(value), locale.value)
    return kind === undefined ? credentialKindOf(String(value)) : choiceOf(path, String(value))
  }

  return { labelOf, choiceOf, credentialKindOf, inWords }
}
