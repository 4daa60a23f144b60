/** Why the gateway refused a request, in a sentence. */
import { useI18n } from 'vue-i18n'

export function useCodeText() {
  const { t, te } = useI18n()

  return (code: string) => (te(`refusals.codes.${code}`) ? t(`refusals.codes.${code}`) : t('refusals.unknownCode'))
}
