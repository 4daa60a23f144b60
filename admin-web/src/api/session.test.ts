import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Problem } from './problem'

const ADA = { id: '01ADA', name: 'ada', role: 'user', created_at: 0 }
const BOB = { ...ADA, id: '01BOB', name: 'bob' }

/** A server with one login at a time, as the control plane has them. `cookie` is what the browser would send. */
class Server {
  user = ADA
  access = 'access-0'
  token = 'refresh-0'
  cookie = ''
  refreshes = 0
  ended = false
  isAway = false

  fetch = vi.fn(async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    if (this.isAway) throw new TypeError('nobody there')
    const path = String(input)
    if (path === '/api/auth/login') return this.signedIn()
    if (path === '/api/auth/refresh') return this.renew(init)
    if (path === '/api/auth/logout') return this.signOut()
    const token = new Headers(init?.headers).get('authorization')
    return token === `Bearer ${this.access}` ? json(200, { ok: true }) : json(401, { code: 'token_expired', detail: '' })
  })

  /** How often this was asked for. */
  asked(path: string) {
    return this.fetch.mock.calls.filter(([input]) => String(input) === path).length
  }

  renew(init?: RequestInit) {
    expect(init?.body).toBeUndefined()
    if (this.ended || this.cookie !== this.token) return json(401, { code: 'refresh_invalid', detail: '' })
    this.refreshes += 1
    this.access = `access-${this.refreshes}`
    this.token = `refresh-${this.refreshes}`
    return this.signedIn()
  }

  signOut() {
    this.ended = true
    this.cookie = ''
    return new Response(null, { status: 204 })
  }

  signedIn() {
    this.ended = false
    this.cookie = this.token
    return json(200, { access_token: this.access, token_type: 'Bearer', expires_in: 900, user: this.user })
  }
}

function json(status: number, body: object) {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })
}

type Login = typeof import('./session')

/** A tab: its memory is its own, the rest of the browser is shared. */
async function openTab(): Promise<Login> {
  vi.resetModules()
  return import('./session')
}

describe('the login', () => {
  let server: Server
  let tab: Login

  beforeEach(async () => {
    localStorage.clear()
    sessionStorage.clear()
    server = new Server()
    vi.stubGlobal('fetch', server.fetch)
    tab = await openTab()
    await tab.signIn('ada', 'secret')
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('goes with every request', async () => {
    expect((await tab.authorizedFetch('/api/thing')).status).toBe(200)
    expect(server.refreshes).toBe(0)
  })

  it('is in no storage', async () => {
    const kept = () => JSON.stringify([{ ...localStorage }, { ...sessionStorage }])
    expect(kept()).not.toMatch(/access-|refresh-/)
    await (await openTab()).restore()
    expect(server.refreshes).toBe(1)
    expect(kept()).not.toMatch(/access-|refresh-/)
  })

  it('of an older build is removed from storage', async () => {
    localStorage.setItem('switchyard.session', JSON.stringify({ access: 'a', refresh: 'r', accessUntil: 0 }))
    await openTab()
    expect(localStorage.getItem('switchyard.session')).toBeNull()
  })

  it('is renewed ahead of its end, once for all requests at the time', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + 890_000)
    const answers = await Promise.all([1, 2, 3].map(() => tab.authorizedFetch('/api/thing')))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(server.refreshes).toBe(1)
  })

  it('is renewed when the server says that the token has ended', async () => {
    server.access = 'another'
    expect((await tab.authorizedFetch('/api/thing')).status).toBe(200)
    expect(server.refreshes).toBe(1)
  })

  it('is there again after a reload, by the cookie', async () => {
    tab = await openTab()
    expect(await tab.restore()).toEqual(ADA)
    expect((await tab.authorizedFetch('/api/thing')).status).toBe(200)
    expect(server.refreshes).toBe(1)
  })

  it('is not asked for by who never signed in', async () => {
    localStorage.clear()
    expect(await (await openTab()).restore()).toBeNull()
    expect(server.asked('/api/auth/refresh')).toBe(0)
  })

  it('that ended while no page was open is none, and is asked for once', async () => {
    server.ended = true
    expect(await (await openTab()).restore()).toBeNull()
    expect(await (await openTab()).restore()).toBeNull()
    expect(server.asked('/api/auth/refresh')).toBe(1)
  })

  it('is not given up when the server is away at the start of a page', async () => {
    server.isAway = true
    await expect((await openTab()).restore()).rejects.toMatchObject({ code: 'unreachable' })
    server.isAway = false
    expect(await (await openTab()).restore()).toEqual(ADA)
  })

  it('waits for the person when it has ended, and then goes on with what was asked', async () => {
    server.access = 'another'
    server.ended = true
    tab.whenExpired(async () => {
      await tab.signIn('ada', 'secret')
    })
    const body = JSON.stringify({ typed: 'much' })
    const answer = await tab.authorizedFetch('/api/thing', { method: 'PUT', body })
    expect(answer.status).toBe(200)
    expect(server.fetch.mock.calls.at(-1)?.[1]?.body).toBe(body)
  })

  it('is given up when the person leaves', async () => {
    server.access = 'another'
    server.ended = true
    tab.whenExpired(() => Promise.reject(new Problem(401, 'not_signed_in', '')))
    await expect(tab.authorizedFetch('/api/thing')).rejects.toMatchObject({ code: 'not_signed_in' })
  })

  it('ends at the server too', async () => {
    await tab.signOut()
    expect(server.ended).toBe(true)
    expect(localStorage.length).toBe(0)
    await expect(tab.authorizedFetch('/api/thing')).rejects.toMatchObject({ code: 'not_signed_in' })
  })

  it('that was left while the server was away ends at the next start of a page', async () => {
    server.isAway = true
    await tab.signOut()
    await expect(tab.authorizedFetch('/api/thing')).rejects.toMatchObject({ code: 'not_signed_in' })
    server.isAway = false
    expect(server.ended).toBe(false)
    expect(await (await openTab()).restore()).toBeNull()
    expect(server.ended).toBe(true)
    expect(server.refreshes).toBe(0)
    expect(localStorage.length).toBe(0)
  })

  it('of another tab that signed in meanwhile is taken', async () => {
    const other = await openTab()
    const refresh = server.renew.bind(server)
    vi.spyOn(server, 'renew').mockImplementationOnce(() => {
      // The answer to the cookie of before; by then the other tab has signed in.
      localStorage.setItem('switchyard.login', `${ADA.id} later`)
      return json(401, { code: 'refresh_invalid', detail: '' })
    }).mockImplementation(refresh)
    expect(await other.restore()).toEqual(ADA)
    expect(server.refreshes).toBe(1)
  })

  it('as somebody else in another tab loads the page anew', async () => {
    const assign = vi.spyOn(location, 'assign').mockImplementation(() => undefined)
    server.user = BOB
    server.access = 'of bob'
    await tab.authorizedFetch('/api/thing')
    expect(assign).toHaveBeenCalledWith('/')
  })

  it('in or out in another tab is heard of', () => {
    const heard: boolean[] = []
    tab.onOtherTab((signedIn) => heard.push(signedIn))
    const tell = (oldValue: string | null, newValue: string | null) =>
      dispatchEvent(new StorageEvent('storage', { key: 'switchyard.login', oldValue, newValue }))
    tell(null, '01ADA 1')
    tell('01ADA 1', '01ADA 2')
    tell('01ADA 2', '01BOB 3')
    tell('01BOB 3', 'leaving')
    tell('leaving', null)
    expect(heard).toEqual([true, true, false])
  })

  it('leaves a refusal that is not about it to the caller', async () => {
    server.fetch.mockResolvedValueOnce(json(401, { code: 'invalid_credentials', detail: '' }))
    expect((await tab.authorizedFetch('/api/profile/password')).status).toBe(401)
    expect(server.refreshes).toBe(0)
  })
})
