import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { away } from './connection'
import { sendProxyTest, type ProxyTest } from './proxy-test'
import { signIn } from './session'

const test: ProxyTest = { wire: 'messages', body: '{"model":"m"}', model: 'm', stream: true }
const signal = new AbortController().signal

/** What the control plane answers, and what it was asked. */
function answering(status: number, body: string, headers: Record<string, string>) {
  const fetch = vi.fn(async (input: RequestInfo | URL, init?: RequestInit) => {
    asked.push({ url: String(input), headers: new Headers(init?.headers), body: init?.body })
    return new Response(body, { status, headers })
  })
  vi.stubGlobal('fetch', fetch)
}

let asked: { url: string; headers: Headers; body: unknown }[] = []

describe('a proxy test', () => {
  beforeEach(async () => {
    answering(200, JSON.stringify({ access_token: 'access-0', token_type: 'Bearer', expires_in: 900, user: { id: 'u', name: 'ada', role: 'user', created_at: 0 } }), {})
    await signIn('ada', 'secret')
    asked = []
  })
  afterEach(() => vi.unstubAllGlobals())

  it('sends the body as it is, with the login, and says which version of Messages it speaks', async () => {
    answering(200, 'ok', { 'x-switchyard-relayed': 'true' })
    await sendProxyTest(test, signal)
    expect(asked).toHaveLength(1)
    expect(asked[0]).toMatchObject({ url: '/api/proxy-test/messages', body: '{"model":"m"}' })
    expect(asked[0]?.headers.get('authorization')).toBe('Bearer access-0')
    expect(asked[0]?.headers.get('anthropic-version')).toBe('2023-06-01')
  })

  it('has model and stream in the path of gemini only', async () => {
    answering(200, 'ok', { 'x-switchyard-relayed': 'true' })
    await sendProxyTest({ ...test, wire: 'gemini', model: 'gemini-api,g 3&x' }, signal)
    await sendProxyTest({ ...test, wire: 'chat' }, signal)
    expect(asked.map(({ url }) => url)).toEqual(['/api/proxy-test/gemini?model=gemini-api%2Cg+3%26x&stream=true', '/api/proxy-test/chat'])
    expect(asked[1]?.headers.has('anthropic-version')).toBe(false)
  })

  it('gives what the data plane answered, whatever its status, and neither ends the login nor takes the server for away', async () => {
    for (const status of [401, 503]) {
      answering(status, JSON.stringify({ code: 'session_ended', detail: 'said by an upstream' }), { 'x-switchyard-relayed': 'true', 'content-type': 'text/html' })
      expect((await sendProxyTest(test, signal)).status).toBe(status)
    }
    expect(asked).toHaveLength(2)
    expect(away.value).toBe(false)
  })

  it('throws what the control plane refuses', async () => {
    answering(429, JSON.stringify({ code: 'too_many_proxy_tests', detail: 'five at a time' }), { 'content-type': 'application/problem+json', 'retry-after': '5' })
    await expect(sendProxyTest(test, signal)).rejects.toMatchObject({ status: 429, code: 'too_many_proxy_tests', retryAfter: 5 })
  })
})
