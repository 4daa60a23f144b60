/** The names of the groups that a request's accounts were in; null until they are known. Who does not read all is told no groups. */
import { watch } from 'vue'
import { namesOfGroups } from '@/api/account-groups'
import type { UsageAttempt } from '@/api/usage'
import { useResource } from '@/composables/useResource'
import { groupsOf } from './rules'

export function useGroupNames(attempts: () => readonly UsageAttempt[]) {
  const ids = () => groupsOf(attempts())
  const resource = useResource(async () => new Map((await namesOfGroups(ids())).map(({ id, name }) => [id, name])))
  watch(() => ids().join(), () => void resource.reload())
  return resource
}
