/** Asks before a page is left that holds what would be lost: unsaved changes, unless `words` says what else. */
import { onBeforeUnmount } from 'vue'
import { onBeforeRouteLeave } from 'vue-router'
import { useI18n } from 'vue-i18n'
import { useAction, type Confirmation } from './useAction'

export function useLeaveGuard(holds: () => boolean, words?: () => Confirmation) {
  const { t } = useI18n()
  const { confirm } = useAction()
  onBeforeRouteLeave(async () => {
    if (!holds()) return true
    return confirm(words?.() ?? { title: t('form.leave.title'), consequence: t('form.leave.consequence'), verb: t('form.leave.verb') })
  })
}

/** The browser asks, in its own words, before it closes or reloads the page. */
export function warnBeforeUnload(holds: () => boolean) {
  const warn = (event: BeforeUnloadEvent) => holds() && event.preventDefault()
  addEventListener('beforeunload', warn)
  onBeforeUnmount(() => removeEventListener('beforeunload', warn))
}
