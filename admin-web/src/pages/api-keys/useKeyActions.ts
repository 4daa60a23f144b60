/** What can be done with a key at once: disabling it and back, and deleting it. */
import { useI18n } from 'vue-i18n'
import { deleteKey, enableKey, type ApiKey } from '@/api/api-keys'
import { useAction } from '@/composables/useAction'

export function useKeyActions() {
  const { t } = useI18n()
  const { busy, run, confirmAndRun } = useAction()

  /** True: it was done. */
  async function toggle(key: ApiKey) {
    const { id, name } = key
    if (!key.enabled) return run(() => enableKey(id, true), t('apiKeys.enabled', { name }))
    const confirmation = { title: t('apiKeys.disableTitle'), consequence: t('apiKeys.disableConsequence', { name }), verb: t('common.disable') }
    return confirmAndRun(confirmation, () => enableKey(id, false), t('apiKeys.disabled', { name }))
  }

  async function remove({ id, name }: Pick<ApiKey, 'id' | 'name'>) {
    const confirmation = { title: t('apiKeys.deleteTitle'), consequence: t('apiKeys.deleteConsequence', { name }), verb: t('common.delete') }
    return confirmAndRun(confirmation, () => deleteKey(id), t('common.deleted', { name }))
  }

  return { busy, toggle, remove }
}
