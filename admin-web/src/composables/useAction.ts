/** Does something at the server now: says what will happen first where that can't be undone, and what came of it. */
import { ElMessage, ElMessageBox } from 'element-plus'
import { ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { Problem } from '@/api/problem'
import { useProblemText } from './useProblemText'

export interface Confirmation {
  title: string
  /** What will happen, in full sentences; shown as text. */
  consequence: string
  /** The verb on the button. */
  verb: string
}

export function useAction() {
  const { t } = useI18n()
  const problemText = useProblemText()
  const busy = ref(false)

  /** True: it was done. */
  async function run(doing: () => PromiseLike<unknown>, done?: string): Promise<boolean> {
    busy.value = true
    try {
      await doing()
      if (done !== undefined) ElMessage.success(done)
      return true
    } catch (thrown) {
      const problem = Problem.from(thrown)
      ElMessage.error({ message: problemText(problem), duration: 8_000, showClose: true })
      return false
    } finally {
      busy.value = false
    }
  }

  async function confirm({ title, consequence, verb }: Confirmation): Promise<boolean> {
    const answer = ElMessageBox.confirm(consequence, title, {
      confirmButtonText: verb,
      cancelButtonText: t('common.cancel'),
      confirmButtonClass: 'el-button--danger',
      closeOnClickModal: false,
      autofocus: false,
    })
    return answer.then(() => true).catch(() => false)
  }

  async function confirmAndRun(confirmation: Confirmation, doing: () => PromiseLike<unknown>, done?: string) {
    return (await confirm(confirmation)) && (await run(doing, done))
  }

  return { busy, run, confirm, confirmAndRun }
}
