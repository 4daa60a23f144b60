/** Deletes a person, having said what goes with them. */
import { useI18n } from 'vue-i18n'
import { deleteUser, type User } from '@/api/users'
import { useAction } from '@/composables/useAction'

export function useUserDeletion() {
  const { t } = useI18n()
  const { busy, confirmAndRun } = useAction()

  /** True: it was done. */
  async function remove({ id, name }: Pick<User, 'id' | 'name'>) {
    const confirmation = { title: t('users.deleteTitle'), consequence: t('users.deleteConsequence', { name }), verb: t('common.delete') }
    return confirmAndRun(confirmation, () => deleteUser(id), t('common.deleted', { name }))
  }

  return { busy, remove }
}
