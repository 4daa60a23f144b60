/** Asks before a page with unsaved changes is left. */
import { onBeforeRouteLeave } from 'vue-router'
import { useI18n } from 'vue-i18n'
import { useAction } from './useAction'

export function useLeaveGuard(isDirty: () => boolean) {
  const { t } = useI18n()
  const { confirm } = useAction()
  onBeforeRouteLeave(async () => {
    if (!isDirty()) return true
    return confirm({ title: t('form.leave.title'), consequence: t('form.leave.consequence'), verb: t('form.leave.verb') })
  })
}
