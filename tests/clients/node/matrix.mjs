/**
 * Every feature of every wire on every column, through the providers' own SDKs.
 *
 * Takes from the environment where the gateway is (SWITCHYARD_URL, SWITCHYARD_KEY), where the emulator is that plays
 * its upstreams (SWITCHYARD_EMULATOR), which columns there are (SWITCHYARD_CELLS), and where results go
 * (SWITCHYARD_RESULTS). SWITCHYARD_ONLY narrows it to what contains all of its words: `bedrock gemini agent_loop`.
 *
 * A column is `{column, model, reasoning_model, lanes: {node: {<wire>: [{model, emulator_key}]}}}`. The first lane of a
 * wire is an account that nothing else uses, so that it can be scripted. With `base_url` the SDKs speak to the emulator
 * itself under the lane's key, which shows that it is a fair oracle.
 *
 * A result is `{sdk: "node", wire, column, feature, outcome, detail}`. The outcome is `works`; `refused`, where the
 * gateway says that it can't be had there; `absent`, where the answer is right but for what was asked; or `failed`.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { FEATURES } from './matrix/features.mjs'
import { Absent, isRefusal, statusOf } from './matrix/outcome.mjs'
import { Trial } from './matrix/trial.mjs'
import { chat } from './matrix/chat.mjs'
import { gemini } from './matrix/gemini.mjs'
import { messages } from './matrix/messages.mjs'
import { responses } from './matrix/responses.mjs'

const WIRES = { chat, responses, messages, gemini }
const AT_ONCE = 8
const LONGEST_DETAIL = 2000
/** For one feature: far more than it takes. */
const PATIENCE_MS = 60_000

const { SWITCHYARD_URL, SWITCHYARD_KEY, SWITCHYARD_EMULATOR, SWITCHYARD_CELLS, SWITCHYARD_RESULTS } = process.env
const GATEWAY = { url: SWITCHYARD_URL, key: SWITCHYARD_KEY }
const only = (process.env.SWITCHYARD_ONLY ?? '').split(/\s+/).filter(Boolean)
const results = []

async function judged(trial, run) {
  try {
    await Promise.race([run(trial), tooLate()])
    return ['works', '']
  } catch (error) {
    if (error instanceof Absent) return ['absent', error.message]
    const refused = isRefusal(error) || (await isTheUpstreams(error, trial))
    return refused ? ['refused', error.message] : ['failed', error.stack ?? `${error}`]
  }
}

async function tooLate() {
  await pause(PATIENCE_MS, undefined, { ref: false })
  throw new Error(`it has not ended after ${PATIENCE_MS} ms`)
}

/** An upstream of the client's own wire refuses what the client said. One of another was sent what it can't take. */
async function isTheUpstreams(error, trial) {
  return statusOf(error) === 400 && (await trial.upstream().catch(() => undefined)) === trial.wire.name
}

/** One feature after the other: those that script the lane leave it as they found it. */
async function runCell(cell, wire) {
  const trial = new Trial(cell, WIRES[wire], SWITCHYARD_EMULATOR, GATEWAY)
  for (const [feature, { run, wires }] of Object.entries(FEATURES)) {
    if (wires && !wires.includes(wire)) continue
    if (!only.every((word) => `${cell.column} ${wire} ${feature}`.includes(word))) continue
    const [outcome, detail] = await judged(trial, run)
    const shown = detail.slice(0, LONGEST_DETAIL)
    results.push({ sdk: 'node', wire, column: cell.column, feature, outcome, detail: shown })
  }
}

const cells = JSON.parse(await readFile(SWITCHYARD_CELLS, 'utf8'))
const waiting = cells.flatMap((cell) => Object.keys(cell.lanes.node).map((wire) => () => runCell(cell, wire)))
const worker = async () => {
  for (let next = waiting.shift(); next; next = waiting.shift()) await next()
}
await Promise.all(Array.from({ length: AT_ONCE }, worker))
await writeFile(SWITCHYARD_RESULTS, JSON.stringify(results, null, 1))
// What hangs is not waited for.
process.exit(0)
