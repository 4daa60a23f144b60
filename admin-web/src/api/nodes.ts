/** The nodes of the data plane. */
import { get, remove } from './client'
import type { Query, Schemas } from './types'

export type Node = Schemas['NodeView']
export type NodeHealth = Schemas['NodeHealth']
export type Revision = Schemas['RevisionView']
export type Withheld = Schemas['WithheldView']

export const NODE_HEALTHS: NodeHealth[] = ['live', 'stopping', 'silent']

export const listNodes = (query: Query<'/api/admin/nodes', 'get'>) => get('/api/admin/nodes', { query })
export const forgetNode = (nodeId: string) => remove('/api/admin/nodes/{node_id}', { names: { node_id: nodeId } })
