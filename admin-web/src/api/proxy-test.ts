/** A request through the data plane, as any client would send it; what comes back is the data plane's own answer. */
import type { Wire } from '@/wires'
import { isRelayed } from './connection'
import { Problem } from './problem'
import { authorizedFetch } from './session'

export interface ProxyTest {
  wire: Wire
  /** JSON of the wire. */
  body: string
  /** The wire `gemini` has these two in its path. */
  model: string
  stream: boolean
}

/** What clients of Messages say beside the body. */
const ANTHROPIC_VERSION = '2023-06-01'

/**
 * The answer with its head, whatever its status says; its body comes as it arrives. What the control plane itself
 * refuses is thrown as a `Problem`.
 */
export async function sendProxyTest({ wire, body, model, stream }: ProxyTest, signal: AbortSignal): Promise<Response> {
  const query = wire === 'gemini' ? `?${new URLSearchParams({ model, stream: String(stream) })}` : ''
  const version: HeadersInit = wire === 'messages' ? { 'anthropic-version': ANTHROPIC_VERSION } : {}
  const headers = { 'content-type': 'application/json', ...version }
  const response = await authorizedFetch(`/api/proxy-test/${wire}${query}`, { method: 'POST', headers, body, signal })
  if (!response.ok && !isRelayed(response)) throw await Problem.of(response)
  return response
}
