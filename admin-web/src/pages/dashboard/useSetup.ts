/** Whether anything was ever asked of this installation, and if not, what is there already. */
import { countAccounts } from '@/api/accounts'
import { listKeys } from '@/api/api-keys'
import { listAllRecords, listOwnRecords } from '@/api/usage'
import { useResource } from '@/composables/useResource'
import { useSession } from '@/stores/session'
import type { Setup } from './setup'

export function useSetup() {
  const session = useSession()

  return useResource(async (): Promise<Setup> => {
    const readsAll = session.may('viewer')
    const { records } = await (readsAll ? listAllRecords({ limit: 1 }) : listOwnRecords({ limit: 1 }))
    if (records.length > 0) return { isFresh: false, accounts: null, hasKeys: true }
    const [counts, keys] = await Promise.all([readsAll ? countAccounts() : null, listKeys({ limit: 1 })])
    return { isFresh: true, accounts: counts?.total ?? null, hasKeys: keys.api_keys.length > 0 }
  })
}
