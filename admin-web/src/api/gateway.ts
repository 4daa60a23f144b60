/** Where clients reach the data plane, and what its nodes serve. */
import { get } from './client'
import type { Schemas } from './types'

export type Gateway = Schemas['Gateway']
export type GatewayModel = Schemas['GatewayModel']

export const readGateway = () => get('/api/gateway')
