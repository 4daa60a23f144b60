/**
 * One request at a time through the data plane, and its answer as it arrives. An answer may come in thousands of pieces:
 * what is shown is brought up to date a few times a second.
 */
import { onBeforeUnmount, ref, shallowRef } from 'vue'
import { Problem } from '@/api/problem'
import { sendProxyTest, type ProxyTest } from '@/api/proxy-test'
import { AnswerReader } from './answer'

/** `ended` says nothing of success: the status does. */
export type Phase = 'idle' | 'waiting' | 'arriving' | 'ended' | 'stopped' | 'broken' | 'refused'

export interface Head {
  status: number
  statusText: string
  headers: [string, string][]
  /** The record of this request in the ledger. */
  requestId: string | null
}

const SHOWN_EVERY_MS = 80

export function useProxyTest() {
  const phase = ref<Phase>('idle')
  const head = shallowRef<Head | null>(null)
  const problem = shallowRef<Problem | null>(null)
  const shown = shallowRef({ text: '', raw: '', isCut: false, error: null as string | null })
  const firstTokenMs = ref<number | null>(null)
  const totalMs = ref<number | null>(null)
  let abort: AbortController | null = null
  let began = 0
  let timer: ReturnType<typeof setInterval> | undefined

  function show(reader: AnswerReader | null) {
    totalMs.value = performance.now() - began
    if (reader === null) return
    firstTokenMs.value ??= reader.hasContent ? totalMs.value : null
    shown.value = { text: String(reader.text), raw: String(reader.raw), isCut: reader.raw.isCut || reader.text.isCut, error: reader.error }
  }

  async function send(test: ProxyTest) {
    if (abort !== null) return
    const mine = (abort = new AbortController())
    let reader: AnswerReader | null = null
    phase.value = 'waiting'
    head.value = problem.value = firstTokenMs.value = null
    shown.value = { text: '', raw: '', isCut: false, error: null }
    began = performance.now()
    timer = setInterval(() => show(reader), SHOWN_EVERY_MS)
    try {
      const response = await sendProxyTest(test, mine.signal)
      head.value = headOf(response)
      phase.value = 'arriving'
      reader = new AnswerReader(test.wire, response.headers.get('content-type') ?? '')
      await readAll(response, reader)
      phase.value = 'ended'
    } catch (thrown) {
      if (mine.signal.aborted) phase.value = 'stopped'
      else if (head.value !== null) phase.value = 'broken'
      else {
        problem.value = Problem.from(thrown)
        phase.value = 'refused'
      }
    } finally {
      clearInterval(timer)
      show(reader)
      abort = null
    }
  }

  async function readAll(response: Response, reader: AnswerReader) {
    const body = response.body?.getReader()
    for (let piece = await body?.read(); piece?.done === false; piece = await body?.read()) {
      reader.push(piece.value)
      if (reader.hasContent) firstTokenMs.value ??= performance.now() - began
    }
    reader.end()
  }

  const stop = () => abort?.abort()

  onBeforeUnmount(() => {
    stop()
    clearInterval(timer)
  })
  return { phase, head, problem, shown, firstTokenMs, totalMs, send, stop }
}

function headOf(response: Response): Head {
  const { status, statusText, headers } = response
  return { status, statusText, headers: [...headers].sort(), requestId: headers.get('x-request-id') }
}
