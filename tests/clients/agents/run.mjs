/**
 * Runs one coding agent in one scenario through the gateway, and says what came of it.
 *
 * Reads one JSON object from standard input:
 *
 *   {
 *     "agent": "claude" | "codex" | "gemini",
 *     "scenario": one of those in scenarios.mjs,
 *     "gateway": {"url", "key"},
 *     "upstream": in whose words the upstream speaks: "messages", "bedrock", "responses", "chat" or "gemini",
 *     "emulator": where the upstreams are played,
 *     "targets": [{"model": as the agent asks for it, "credentials": [what the emulator knows its accounts by]}],
 *     "keep": true to leave the agent's home and workspace where they are
 *   }
 *
 * Prints another: `{outcome, detail, runs, calls, outside}`. The outcome is `works` or `failed`; a run is
 * `{exit, late, text, session, events, stderr}`; a call is what came upstream and how it was answered; outside are hosts
 * that the agent tried to reach besides the gateway.
 */
import { claude } from './claude.mjs'
import { codex } from './codex.mjs'
import { gemini } from './gemini.mjs'
import { Outside } from './outside.mjs'
import { Place } from './place.mjs'
import { FILES, SCENARIOS } from './scenarios.mjs'
import { Trial } from './trial.mjs'

const AGENTS = { claude, codex, gemini }

async function input() {
  const parts = []
  for await (const part of process.stdin) parts.push(part)
  return JSON.parse(Buffer.concat(parts).toString())
}

async function judged(trial, scenario) {
  try {
    await trial.prepare(scenario.known)
    await scenario.run(trial)
    return { outcome: 'works', detail: '' }
  } catch (error) {
    return { outcome: 'failed', detail: error.message }
  }
}

const spec = await input()
const outside = await new Outside().open()
const place = await Place.make(FILES)
const trial = new Trial(spec, AGENTS[spec.agent], place, outside.variables)
const judgement = await judged(trial, SCENARIOS[spec.scenario])
await trial.collect()
outside.close()
if (spec.keep) judgement.place = place.root
else await place.remove()
const { runs, calls } = trial
process.stdout.write(`${JSON.stringify({ ...judgement, runs, calls, outside: outside.hosts })}\n`)
