/** One agent in one scenario: what it is asked, what its model does, and what came of it. */
import { Emulator } from './emulator.mjs'
import { finished } from './process.mjs'

/** For one run of an agent: far more than it takes. */
const LIMIT_MS = 90_000
const LONGEST_WORDS = 800
/** What every answer reports, so that the ledger can be held to it. */
export const USAGE = { input: 1003, cache_read: 211, cache_write_5m: 0, cache_write_1h: 0, output: 57, reasoning: 13 }

export class Trial {
  runs = []
  /** What upstreams were told to refuse with. */
  faults = []

  constructor(spec, agent, place, variables) {
    Object.assign(this, { spec, agent, place, variables })
    this.targets = spec.targets.map(({ model, credentials }) => ({
      model,
      upstreams: credentials.map((credential) => new Emulator(spec.emulator, credential)),
    }))
  }

  get upstreams() {
    return this.targets.flatMap(({ upstreams }) => upstreams)
  }

  /** Gives the agent's configuration its place; upstreams forget what was before. */
  async prepare(known) {
    const models = this.targets.map(({ model }) => model)
    const { place, variables } = this
    await this.agent.prepare({ place, gateway: this.spec.gateway, models, variables, known })
    await Promise.all(this.upstreams.map((upstream) => upstream.reset()))
  }

  /** Every model follows these plans: `{prompt: turns}`. What is queued comes first, on the target's first account. */
  async script(plans, { target = 0, queue = [], usage = USAGE } = {}) {
    const told = Object.entries(plans).map(([prompt, turns]) => ({ prompt, turns }))
    const behaviour = { plans: told, usage }
    await Promise.all(this.upstreams.map((upstream) => upstream.always(behaviour)))
    this.faults.push(...queue.flatMap(({ fault }) => fault?.status?.error?.message ?? []))
    const queued = queue.map((more) => ({ ...behaviour, ...more }))
    if (queued.length) await this.targets[target].upstreams[0].next(queued)
  }

  /** Runs the agent once. A run that does not end well is the scenario's end, unless it `mayFail`. */
  async ask(prompt, { target = 0, mayFail = false, ...more } = {}) {
    const { model } = this.targets[target]
    const command = this.agent.command({ gateway: this.spec.gateway, model, prompt, ...more })
    const env = { ...this.place.variables, ...this.variables, ...command.env }
    const ended = await finished({ ...command, env, cwd: this.place.work }, LIMIT_MS)
    const read = this.agent.read(ended.stdout)
    const run = { ...ended, ...read, stdout: undefined }
    this.runs.push(run)
    if (run.late) throw new Error(`it has not ended after ${LIMIT_MS} ms; ${said(run)}`)
    if (!mayFail && (run.exit !== 0 || run.failed)) throw new Error(`it ended with ${run.exit}; ${said(run)}`)
    return run
  }

  /** What came upstream, and what was refused there. */
  async collect() {
    const calls = (await Promise.all(this.upstreams.map((upstream) => upstream.calls()))).flat()
    calls.sort((one, other) => one.number - other.number)
    this.calls = calls.map(({ target, answer, end, body }) => ({
      target,
      status: answer?.status,
      end,
      body: decoded(body),
      said: decoded(answer?.body ?? ''),
    }))
    for (const call of this.calls) call.planned = this.faults.some((words) => call.said.includes(words))
  }
}

function decoded(base64) {
  return Buffer.from(base64, 'base64').toString()
}

/** What a run said of its own failing. */
function said({ text, stderr, events }) {
  const words = events.map(({ type, result, message, error }) => {
    if (type === 'result') return result ?? error?.message
    return type === 'error' || type === 'turn.failed' ? (message ?? error?.message) : undefined
  })
  const last = words.findLast(Boolean) ?? text ?? ''
  return `${last}`.slice(0, LONGEST_WORDS) || stderr.slice(-LONGEST_WORDS)
}

/** Fails with these words unless it holds. */
export function expect(holds, words) {
  if (!holds) throw new Error(words)
}
