/** A problem in the person's language: by its code where that is known, else in the server's own words. */
import { useI18n } from 'vue-i18n'
import type { Problem } from '@/api/problem'

export function useProblemText() {
  const { t, te } = useI18n()
  return (problem: Problem): string => {
    const key = `problems.${problem.code}`
    const wait = problem.retryAfter === null ? '' : ` ${t('problems.retryAfter', { seconds: problem.retryAfter })}`
    return `${te(key) ? t(key) : problem.detail}${wait} (${problem.code})`
  }
}
