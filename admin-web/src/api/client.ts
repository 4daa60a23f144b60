/**
 * The control plane's API, typed by its OpenAPI document (`schema.d.ts`, made by `npm run api`). Endpoint files beside
 * this one say in words what each call is; pages use those, never a path.
 */
import { createAlova, type RequestBody } from 'alova'
import adapterFetch from 'alova/fetch'
import VueHook from 'alova/vue'
import { Problem } from './problem'
import { authorizedFetch } from './session'
import type { Answer, Body, Names, PathsWith, Query, Verb } from './types'
import type { paths } from './schema'

const alova = createAlova({
  requestAdapter: adapterFetch({ customFetch: authorizedFetch }),
  statesHook: VueHook,
  // What is shown is what the server says now.
  cacheFor: null,
  shareRequest: false,
  responded: async (response) => {
    if (!response.ok) throw await Problem.of(response)
    return response.status === 204 ? undefined : await response.json()
  },
})

/** A thing with the ETag that its change must bring back. */
export interface Tagged<T> {
  value: T
  etag: string
}

type Options<P extends keyof paths, V extends Verb> = { query?: Query<P, V> } & (Names<P, V> extends undefined
  ? { names?: undefined }
  : { names: Names<P, V> })
type Given<P extends keyof paths, V extends Verb> =
  Names<P, V> extends undefined ? [options?: Options<P, V>] : [options: Options<P, V>]
type Loose = { query?: unknown; names?: unknown } | undefined

export function get<P extends PathsWith<'get'>>(path: P, ...[options]: Given<P, 'get'>) {
  return alova.Get<Answer<P, 'get'>, Answer<P, 'get'>>(filled(path, options), { params: asked(options) })
}

/** A GET of one thing, with its ETag. */
export function getTagged<P extends PathsWith<'get'>>(path: P, ...[options]: Given<P, 'get'>) {
  return alova.Get<Tagged<Answer<P, 'get'>>, Answer<P, 'get'>>(filled(path, options), {
    params: asked(options),
    transform: (value, headers) => ({ value, etag: headers.get('etag') ?? '' }),
  })
}

export function post<P extends PathsWith<'post'>>(path: P, body: Body<P, 'post'>, ...[options]: Given<P, 'post'>) {
  return alova.Post<Answer<P, 'post'>, Answer<P, 'post'>>(filled(path, options), body as unknown as RequestBody, { params: asked(options) })
}

/** A change of one thing: `etag` is that of what the person has seen. */
export function put<P extends PathsWith<'put'>>(
  path: P,
  etag: string,
  body: Body<P, 'put'>,
  ...[options]: Given<P, 'put'>
) {
  return alova.Put<Answer<P, 'put'>, Answer<P, 'put'>>(filled(path, options), body as unknown as RequestBody, {
    headers: { 'if-match': etag },
  })
}

export function remove<P extends PathsWith<'delete'>>(path: P, ...[options]: Given<P, 'delete'>) {
  return alova.Delete<undefined, undefined>(filled(path, options))
}

/** The path with its names filled in. */
function filled(path: string, options: Loose) {
  const names = (options?.names ?? {}) as Record<string, string>
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ''))
}

/** Without what is not asked for. */
function asked(options: Loose) {
  const given = Object.entries(options?.query ?? {})
  return Object.fromEntries(given.filter(([, value]) => value !== undefined && value !== null && value !== ''))
}
