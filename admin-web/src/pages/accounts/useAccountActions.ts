/** What is done to an account at once, with what comes of it said. */
import { useI18n } from 'vue-i18n'
import { deleteAccount, enableAccount, type Account } from '@/api/accounts'
import { useAction } from '@/composables/useAction'

export function useAccountActions() {
  const { t } = useI18n()
  const { busy, run, confirmAndRun } = useAction()

  /** True: it was done. */
  function enable({ id, name }: Pick<Account, 'id' | 'name'>, enabled: boolean) {
    return run(() => enableAccount(id, enabled), enabled ? t('accounts.turnedOn', { name }) : t('accounts.turnedOff', { name }))
  }

  function remove({ id, name }: Pick<Account, 'id' | 'name'>) {
    const confirmation = { title: t('accounts.deleteTitle'), consequence: t('accounts.deleteConsequence', { name }), verb: t('common.delete') }
    return confirmAndRun(confirmation, () => deleteAccount(id), t('common.deleted', { name }))
  }

  return { busy, enable, remove }
}
