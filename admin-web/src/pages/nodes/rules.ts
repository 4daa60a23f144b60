/** What the pages make of a node's report. */
import type { IncarnationState, Node, NodeHealth } from '@/api/nodes'
import type { Rejected } from '@/api/usage'

export type Tone = 'good' | 'warn' | 'bad' | 'idle'

export function healthTone(health: NodeHealth): Tone {
  return health === 'live' ? 'good' : health === 'stopping' ? 'warn' : 'idle'
}

export function incarnationTone(state: IncarnationState): Tone {
  return state === 'lost' ? 'bad' : state === 'closed_by_person' ? 'warn' : state === 'open' ? 'good' : 'idle'
}

export type Standing = { word: 'current' | 'behind' | 'nothing' | 'elsewhere'; tone: Tone; versions: number }

/** How a node's configuration stands to the one that it should have. */
export function standingOf({ acknowledged, lag }: Pick<Node, 'acknowledged' | 'lag'>): Standing {
  if (acknowledged == null) return { word: 'nothing', tone: 'warn', versions: 0 }
  if (lag == null) return { word: 'elsewhere', tone: 'bad', versions: 0 }
  return lag === 0 ? { word: 'current', tone: 'good', versions: 0 } : { word: 'behind', tone: 'warn', versions: lag }
}

/** Whether a person should look at the node, beyond its health. */
export function isTroubled(node: Pick<Node, 'refused' | 'refused_payloads' | 'statistics'>): boolean {
  return node.refused != null || node.refused_payloads.length > 0 || node.statistics.live_degraded
}

const KNOWN_REFUSALS = ['unknown_epoch', 'lower_version', 'other_history']

/** Why a node refuses a configuration, as the name of its explanation. */
export function refusalOf(reason: string): string {
  return KNOWN_REFUSALS.includes(reason) ? reason : 'other'
}

/** Why nothing reaches the nodes, as the name of its explanation. */
export function withheldFor(reason: string): 'higherVersion' | 'otherHistory' {
  return reason === 'higher_version' ? 'higherVersion' : 'otherHistory'
}

/** What a person does about each reason for which a record is rejected, as the name of its words. */
const ACTIONS: Record<string, string> = {
  no_content: 'newerNode', no_content_empty: 'disk', no_request: 'report', bad_request_id: 'report', bad_key_id: 'report', bad_user_id: 'report', key_of_another_user: 'node',
  absurd_usage: 'bill', too_many_attempts: 'attempts', refused_by_database: 'database', gone: 'restore',
}

/** Why a record was rejected and what a person does about it, as the names of their words. */
export function rejectionOf({ reason, payload }: Pick<Rejected, 'reason' | 'payload'>): { means: string; todo: string } {
  // Of what its disk has lost, a node sends no bytes.
  const means = reason === 'no_content' && payload === '' ? 'no_content_empty' : reason
  const todo = Object.hasOwn(ACTIONS, means) ? ACTIONS[means] : undefined
  return todo === undefined ? { means: 'other', todo: 'replicas' } : { means, todo }
}

/** Enough of an epoch to tell two apart. */
export function shortEpoch(epoch: string): string {
  return epoch.slice(0, 8)
}
