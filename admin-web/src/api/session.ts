/**
 * The login: an access token for a quarter of an hour, and a refresh token that renews it. Both are kept in
 * localStorage, so that reloads and other tabs share the login; the strict CSP is what keeps foreign script from it.
 * Renewing is idempotent at the server for a while: two tabs that do it at once get the same successor.
 */
import { isRelayed, reach } from './connection'
import { Problem } from './problem'
import type { Schemas } from './types'

export type Profile = Schemas['Profile']

interface Tokens {
  access: string
  refresh: string
  /** Milliseconds since 1970. */
  accessUntil: number
}

const KEY = 'switchyard.session'
/** An access token is renewed this long before it ends. */
const MARGIN_MS = 20_000

/** Asks the person to sign in again, and ends once they have; rejects when they give up. */
type SignInAgain = () => Promise<void>

let signInAgain: SignInAgain = () => Promise.reject(new Problem(401, 'not_signed_in', 'sign in first'))
let renewal: Promise<boolean> | null = null

export function whenExpired(handler: SignInAgain) {
  signInAgain = handler
}

export function isSignedIn() {
  return tokens() !== null
}

/** Calls back when another tab signs in (true) or out (false). */
export function onOtherTab(callback: (signedIn: boolean) => void) {
  addEventListener('storage', (event) => {
    if (event.key === KEY && (event.oldValue === null) !== (event.newValue === null)) callback(event.newValue !== null)
  })
}

export async function signIn(username: string, password: string): Promise<Profile> {
  return keep(await post('/api/auth/login', { username, password }))
}

export async function register(username: string, password: string): Promise<void> {
  await post('/api/auth/register', { username, password })
}

/** Ends the login at the server too; one that is away or has ended it already does not hold anybody back. */
export async function signOut() {
  const access = tokens()?.access
  localStorage.removeItem(KEY)
  if (access !== undefined) await reach('/api/auth/logout', { method: 'POST', headers: bearer(access) }).catch(() => null)
}

/**
 * As `fetch`, with the login. A token that ended is renewed; a login that ended waits until the person has signed in
 * again, and then goes on, so that what they typed is not lost.
 */
export async function authorizedFetch(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  let access = await accessToken()
  for (;;) {
    const response = await reach(input, { ...init, headers: { ...plain(init.headers), ...bearer(access) } })
    if (response.status !== 401 || isRelayed(response) || !(await isOfTheLogin(response))) return response
    access = await another(access)
  }
}

async function accessToken(): Promise<string> {
  const held = tokens()
  if (held === null) return another('')
  return held.accessUntil - MARGIN_MS > Date.now() ? held.access : another(held.access)
}

/** A token other than the one that was refused. */
async function another(refused: string): Promise<string> {
  const renewed = tokens()?.access ?? refused
  if (renewed !== refused && renewed !== '') return renewed
  renewal ??= renew().finally(() => (renewal = null))
  if (!(await renewal)) await signInAgain()
  const now = tokens()
  if (now === null) throw new Problem(401, 'not_signed_in', 'sign in first')
  return now.access
}

/** False: the login has ended. */
async function renew(): Promise<boolean> {
  const held = tokens()
  if (held === null) return false
  try {
    keep(await post('/api/auth/refresh', { refresh_token: held.refresh }))
    return true
  } catch (thrown) {
    const problem = Problem.from(thrown)
    if (problem.status !== 401) throw problem
    // Another tab may have renewed, or signed in anew, meanwhile.
    const now = tokens()
    if (now !== null && now.refresh !== held.refresh) return true
    localStorage.removeItem(KEY)
    return false
  }
}

function keep(answer: Schemas['TokenResponse']): Profile {
  const held: Tokens = {
    access: answer.access_token,
    refresh: answer.refresh_token,
    accessUntil: Date.now() + answer.expires_in * 1000,
  }
  localStorage.setItem(KEY, JSON.stringify(held))
  return answer.user
}

function tokens(): Tokens | null {
  const text = localStorage.getItem(KEY)
  if (text === null) return null
  try {
    return JSON.parse(text) as Tokens
  } catch {
    return null
  }
}

async function post(path: string, body: object): Promise<Schemas['TokenResponse']> {
  const headers = { 'content-type': 'application/json' }
  const response = await reach(path, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw await Problem.of(response)
  return (await response.json()) as Schemas['TokenResponse']
}

const OF_THE_LOGIN = new Set(['not_signed_in', 'token_expired', 'token_invalid', 'session_ended'])

async function isOfTheLogin(response: Response) {
  return OF_THE_LOGIN.has((await Problem.of(response.clone())).code)
}

function bearer(access: string) {
  return { authorization: `Bearer ${access}` }
}

function plain(headers: HeadersInit | undefined) {
  return Object.fromEntries(new Headers(headers))
}
