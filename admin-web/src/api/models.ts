/** Where models go: routes, mappings, and the models that are known. */
import { get, getTagged, post, put, remove } from './client'
import type { Query, Schemas } from './types'

export type ModelRoute = Schemas['RouteView']
export type ModelRouteInput = Schemas['RouteInput']
export type ModelMapping = Schemas['MappingView']
export type ModelMappingInput = Schemas['MappingInput']

/** A platform that a model can be routed to, in the order of every list. */
export const PLATFORMS = ['claude', 'openai', 'gemini', 'other'] as const

export const listRoutes = (query: Query<'/api/admin/model-routes', 'get'>) => get('/api/admin/model-routes', { query })
export const readRoute = (id: string) => getTagged('/api/admin/model-routes/{id}', { names: { id } })
export const createRoute = (input: ModelRouteInput) => post('/api/admin/model-routes', input)
export const updateRoute = (id: string, etag: string, input: ModelRouteInput) =>
  put('/api/admin/model-routes/{id}', etag, input, { names: { id } })
export const deleteRoute = (id: string) => remove('/api/admin/model-routes/{id}', { names: { id } })

export const listMappings = (query: Query<'/api/admin/model-mappings', 'get'>) => get('/api/admin/model-mappings', { query })
export const readMapping = (id: string) => getTagged('/api/admin/model-mappings/{id}', { names: { id } })
export const createMapping = (input: ModelMappingInput) => post('/api/admin/model-mappings', input)
export const updateMapping = (id: string, etag: string, input: ModelMappingInput) =>
  put('/api/admin/model-mappings/{id}', etag, input, { names: { id } })
export const deleteMapping = (id: string) => remove('/api/admin/model-mappings/{id}', { names: { id } })

export const listModels = (query: Query<'/api/admin/models', 'get'>) => get('/api/admin/models', { query })

/** The first few of the price list whose name has the text in it, each known by its name. */
export async function searchModels(search: string) {
  return (await listModels({ search, limit: 20 })).models.map(({ name }) => ({ id: name, name }))
}
