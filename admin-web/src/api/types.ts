/** What the generated schema says of a path, picked apart for `client.ts`. */
import type { components, paths } from './schema'

/** The shapes of the control plane's OpenAPI document, by name. */
export type Schemas = components['schemas']

export type Verb = 'get' | 'put' | 'post' | 'delete'

/** The paths that have this verb. */
export type PathsWith<V extends Verb> = {
  [P in keyof paths]: NonNullable<paths[P][V]> extends { responses: unknown } ? P : never
}[keyof paths]

type Operation<P extends keyof paths, V extends Verb> = NonNullable<paths[P][V]>
type Json<T> = T extends { content: { 'application/json': infer Body } } ? Body : undefined
type Succeeded<R> = R extends { 200: infer Ok } ? Json<Ok> : R extends { 201: infer Made } ? Json<Made> : undefined

/** The body that a verb of a path answers with. */
export type Answer<P extends keyof paths, V extends Verb> =
  Operation<P, V> extends { responses: infer R } ? Succeeded<R> : never
/** The body that it takes. */
export type Body<P extends keyof paths, V extends Verb> =
  Operation<P, V> extends { requestBody?: infer R } ? ([NonNullable<R>] extends [never] ? undefined : Json<NonNullable<R>>) : undefined
export type Query<P extends keyof paths, V extends Verb> =
  Operation<P, V> extends { parameters: { query?: infer Q } } ? NonNullable<Q> : undefined
/** The names in braces. */
export type Names<P extends keyof paths, V extends Verb> =
  Operation<P, V> extends { parameters: { path: infer N } } ? N : undefined
