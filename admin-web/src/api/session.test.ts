import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { authorizedFetch, signIn, signOut, whenExpired } from './session'
import { Problem } from './problem'

/** A server that knows which tokens are good, as the control plane does. */
class Server {
  access = 'access-0'
  refresh = 'refresh-0'
  refreshes = 0
  ended = false

  fetch = vi.fn(async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const path = String(input)
    if (path === '/api/auth/login') return this.tokens()
    if (path === '/api/auth/refresh') return this.renew(JSON.parse(String(init?.body)) as { refresh_token: string })
    const token = new Headers(init?.headers).get('authorization')
    if (path === '/api/auth/logout') return new Response(null, { status: 204 })
    return token === `Bearer ${this.access}` ? json(200, { ok: true }) : json(401, { code: 'token_expired', detail: '' })
  })

  renew({ refresh_token }: { refresh_token: string }) {
    if (this.ended || refresh_token !== this.refresh) return json(401, { code: 'refresh_invalid', detail: '' })
    this.refreshes += 1
    this.access = `access-${this.refreshes}`
    this.refresh = `refresh-${this.refreshes}`
    return this.tokens()
  }

  tokens() {
    return json(200, { access_token: this.access, refresh_token: this.refresh, token_type: 'Bearer', expires_in: 900, user: { id: 'u', name: 'ada', role: 'user', created_at: 0 } })
  }
}

function json(status: number, body: object) {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })
}

describe('the login', () => {
  let server: Server

  beforeEach(async () => {
    localStorage.clear()
    server = new Server()
    vi.stubGlobal('fetch', server.fetch)
    await signIn('ada', 'secret')
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('goes with every request', async () => {
    expect((await authorizedFetch('/api/thing')).status).toBe(200)
    expect(server.refreshes).toBe(0)
  })

  it('is renewed ahead of its end, once for all requests at the time', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + 890_000)
    const answers = await Promise.all([1, 2, 3].map(() => authorizedFetch('/api/thing')))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(server.refreshes).toBe(1)
  })

  it('is renewed when the server says that the token has ended', async () => {
    server.access = 'another'
    expect((await authorizedFetch('/api/thing')).status).toBe(200)
    expect(server.refreshes).toBe(1)
  })

  it('waits for the person when it has ended, and then goes on with what was asked', async () => {
    server.access = 'another'
    server.ended = true
    whenExpired(async () => {
      server.ended = false
      await signIn('ada', 'secret')
    })
    const body = JSON.stringify({ typed: 'much' })
    const answer = await authorizedFetch('/api/thing', { method: 'PUT', body })
    expect(answer.status).toBe(200)
    expect(server.fetch.mock.calls.at(-1)?.[1]?.body).toBe(body)
  })

  it('is given up when the person leaves', async () => {
    server.access = 'another'
    server.ended = true
    whenExpired(() => Promise.reject(new Problem(401, 'not_signed_in', '')))
    await expect(authorizedFetch('/api/thing')).rejects.toMatchObject({ code: 'not_signed_in' })
  })

  it('ends at the server too', async () => {
    await signOut()
    expect(server.fetch.mock.calls.at(-1)?.[0]).toBe('/api/auth/logout')
    expect(localStorage.length).toBe(0)
  })

  it('leaves a refusal that is not about it to the caller', async () => {
    server.fetch.mockResolvedValueOnce(json(401, { code: 'invalid_credentials', detail: '' }))
    expect((await authorizedFetch('/api/profile/password')).status).toBe(401)
    expect(server.refreshes).toBe(0)
  })
})
