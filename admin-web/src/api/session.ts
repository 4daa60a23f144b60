/**
 * The login. The access token is for a quarter of an hour, and in this tab's memory only. What renews it is a cookie that
 * no script can read, so reloads and other tabs share the login. Renewing is idempotent at the server for a while: two
 * tabs that do it at once are one as good as the other.
 */
import { isRelayed, reach } from './connection'
import { Problem } from './problem'
import type { Schemas } from './types'

export type Profile = Schemas['Profile']

interface Access {
  token: string
  /** Milliseconds since 1970. */
  until: number
}

/**
 * Who is signed in with this browser, and since when, for its tabs to know; no secret. `LEAVING`: they signed out, and the
 * server has not heard of it yet.
 */
const WHO = 'switchyard.login'
const LEAVING = 'leaving'
/** An access token is renewed this long before it ends. */
const MARGIN_MS = 20_000

// Builds before this one kept both tokens there.
localStorage.removeItem('switchyard.session')

/** Asks the person to sign in again, and ends once they have; rejects when they give up. */
type SignInAgain = () => Promise<void>

let signInAgain: SignInAgain = () => Promise.reject(notSignedIn())
let access: Access | null = null
let renewal: Promise<Profile | null> | null = null

export function whenExpired(handler: SignInAgain) {
  signInAgain = handler
}

/** Calls back when another tab signs in, as somebody else too (true), or out (false). */
export function onOtherTab(callback: (signedIn: boolean) => void) {
  addEventListener('storage', (event) => {
    if (event.key !== WHO || personOf(event.oldValue) === personOf(event.newValue)) return
    const signedIn = personOf(event.newValue) !== null
    if (!signedIn) access = null
    callback(signedIn)
  })
}

export async function signIn(username: string, password: string): Promise<Profile> {
  const profile = keep(await post('/api/auth/login', { username, password }))
  localStorage.setItem(WHO, `${profile.id} ${Date.now()}`)
  return profile
}

export async function register(username: string, password: string): Promise<void> {
  await post('/api/auth/register', { username, password })
}

/** At the start of a page: who is signed in. Null: nobody. */
export async function restore(): Promise<Profile | null> {
  if (localStorage.getItem(WHO) === LEAVING) await leave()
  return renewOnce()
}

/** Ends the login at the server too; one that is away hears of it when a page is opened again. */
export async function signOut() {
  const token = access?.token
  access = null
  localStorage.setItem(WHO, LEAVING)
  await leave(token)
}

async function leave(token?: string) {
  const headers = token === undefined ? {} : bearer(token)
  const response = await reach('/api/auth/logout', { method: 'POST', headers }).catch(() => null)
  if (response?.ok && localStorage.getItem(WHO) === LEAVING) localStorage.removeItem(WHO)
}

/** The login has ended at the server already. */
export function forget() {
  access = null
  localStorage.removeItem(WHO)
}

/**
 * As `fetch`, with the login. A token that ended is renewed; a login that ended waits until the person has signed in
 * again, and then goes on, so that what they typed is not lost.
 */
export async function authorizedFetch(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  let token = await accessToken()
  for (;;) {
    const response = await reach(input, { ...init, headers: { ...plain(init.headers), ...bearer(token) } })
    if (response.status !== 401 || isRelayed(response) || !(await isOfTheLogin(response))) return response
    token = await another(token)
  }
}

async function accessToken(): Promise<string> {
  return access !== null && access.until - MARGIN_MS > Date.now() ? access.token : another(access?.token)
}

/** A token other than the one that was refused. */
async function another(refused: string | undefined): Promise<string> {
  if (access !== null && access.token !== refused) return access.token
  if ((await renewOnce()) === null) await signInAgain()
  if (access === null) throw notSignedIn()
  return access.token
}

function renewOnce() {
  renewal ??= renew().finally(() => (renewal = null))
  return renewal
}

/** Null: the login has ended. */
async function renew(): Promise<Profile | null> {
  const who = localStorage.getItem(WHO)
  const person = personOf(who)
  if (person === null) return null
  try {
    const profile = keep(await post('/api/auth/refresh'))
    // Another tab signed somebody else in; this page shows what the first one may see.
    if (profile.id !== person) location.assign('/')
    return profile
  } catch (thrown) {
    const problem = Problem.from(thrown)
    if (problem.status !== 401) throw problem
    // Another tab may have signed in anew meanwhile.
    if (localStorage.getItem(WHO) !== who) return renew()
    forget()
    return null
  }
}

function keep(answer: Schemas['TokenResponse']): Profile {
  access = { token: answer.access_token, until: Date.now() + answer.expires_in * 1000 }
  return answer.user
}

function personOf(who: string | null): string | null {
  return who === null || who === LEAVING ? null : (who.split(' ')[0] ?? null)
}

function notSignedIn() {
  return new Problem(401, 'not_signed_in', 'sign in first')
}

async function post(path: string, body?: object): Promise<Schemas['TokenResponse']> {
  const sent = body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const response = await reach(path, { method: 'POST', ...sent })
  if (!response.ok) throw await Problem.of(response)
  return (await response.json()) as Schemas['TokenResponse']
}

const OF_THE_LOGIN = new Set(['not_signed_in', 'token_expired', 'token_invalid', 'session_ended'])

async function isOfTheLogin(response: Response) {
  return OF_THE_LOGIN.has((await Problem.of(response.clone())).code)
}

function bearer(token: string) {
  return { authorization: `Bearer ${token}` }
}

function plain(headers: HeadersInit | undefined) {
  return Object.fromEntries(new Headers(headers))
}
