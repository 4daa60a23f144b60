/** The nodes of the data plane. */
import { get, post, remove } from './client'
import type { Query, Schemas } from './types'

export type Node = Schemas['NodeView']
export type NodeHealth = Schemas['NodeHealth']
export type Incarnation = Schemas['IncarnationView']
export type IncarnationState = Schemas['IncarnationState']
export type Revision = Schemas['RevisionView']
export type Withheld = Schemas['WithheldView']

export const NODE_HEALTHS: NodeHealth[] = ['live', 'stopping', 'silent']

export const listNodes = (query: Query<'/api/admin/nodes', 'get'>) => get('/api/admin/nodes', { query })
export const forgetNode = (nodeId: string) => remove('/api/admin/nodes/{node_id}', { names: { node_id: nodeId } })

export const listIncarnations = (query: Query<'/api/admin/incarnations', 'get'>) => get('/api/admin/incarnations', { query })
export const closeIncarnation = (id: string) => post('/api/admin/incarnations/{id}/close', undefined, { names: { id } })
