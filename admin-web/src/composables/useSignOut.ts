/** Signs out, unless the page holds the person back for what is not saved. No page asks the server for anything then. */
import { useRouter } from 'vue-router'
import { useSession } from '@/stores/session'
import { useAction } from './useAction'

export function useSignOut() {
  const router = useRouter()
  const session = useSession()
  const { busy, run } = useAction()

  async function signOut(how: () => Promise<void> = session.signOut) {
    session.isLeaving = true
    try {
      await router.push('/login')
      if (router.currentRoute.value.path !== '/login' || (await run(how))) return
    } finally {
      session.isLeaving = false
    }
    await router.push('/')
  }

  return { busy, signOut }
}
