/**
 * Whether the server can be reached. Every request goes through `reach`; when one finds nobody there, `away` is set
 * and the server is asked for its health until it answers. `recoveries` counts its returns: lists load again then.
 */
import { ref } from 'vue'
import { Problem } from './problem'

export const away = ref(false)
export const recoveries = ref(0)

/** Milliseconds between two looks, doubling up to the second. */
const FIRST_LOOK = 500
const LAST_LOOK = 8_000

/** As `fetch`; a server that is away throws `Problem.unreachable()`. */
export async function reach(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init).catch((thrown: unknown) => {
    if (thrown instanceof DOMException && thrown.name === 'AbortError') throw thrown
    return null
  })
  if (response === null || isFromInBetween(response)) {
    lost()
    throw Problem.unreachable()
  }
  return response
}

/** Asks now. A server that is away is from then on looked for. */
export async function isReachable(): Promise<boolean> {
  const isThere = await isHealthy()
  if (!isThere) lost()
  return isThere
}

/** It is what the data plane answered, passed on: its status says nothing of the control plane or of the login. */
export function isRelayed(response: Response) {
  return response.headers.get('x-switchyard-relayed') === 'true'
}

/** A proxy in front speaks for a server that is not there; our own refusals are problem+json. */
function isFromInBetween(response: Response) {
  if (isRelayed(response)) return false
  const ours = response.headers.get('content-type')?.includes('json') ?? false
  return [502, 503, 504].includes(response.status) && !ours
}

function lost() {
  if (away.value) return
  away.value = true
  look(FIRST_LOOK)
}

function look(after: number) {
  setTimeout(() => {
    void isHealthy().then((isBack) => {
      if (!isBack) return look(Math.min(after * 2, LAST_LOOK))
      away.value = false
      recoveries.value += 1
    })
  }, after)
}

function isHealthy(): Promise<boolean> {
  return fetch('/healthz', { cache: 'no-store' })
    .then((response) => response.ok)
    .catch(() => false)
}
