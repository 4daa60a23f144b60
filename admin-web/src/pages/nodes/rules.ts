/** What the pages make of a node's report. */
import type { IncarnationState, Node, NodeHealth } from '@/api/nodes'

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

/** Enough of an epoch to tell two apart. */
export function shortEpoch(epoch: string): string {
  return epoch.slice(0, 8)
}
