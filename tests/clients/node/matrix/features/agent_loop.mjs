/** What agents do: ask, call, give results, read the answer, go on. */
import assert from 'node:assert/strict'
import { THOUGHT } from './reasoning.mjs'
import { ASK_BOTH, BOTH, TOOLS, called } from './tools.mjs'

const RESULTS = { get_weather: 'rain', get_time: 'noon' }
/** The echo is of the last message: of both results where they stand in one, of the last where each has its own. */
const ECHOES = ['noonrain', 'rainnoon', 'rain', 'noon']

export async function agentLoop(trial) {
  for (const stream of [false, true]) await loop(trial, stream, false)
}

export async function agentLoopThinking(trial) {
  for (const stream of [false, true]) await loop(trial, stream, true)
}

async function loop(trial, stream, thinking) {
  const turns = []
  const step = async (...more) => {
    turns.push(...more)
    const answer = await trial.ask({ system: 'You are a helper.', tools: TOOLS, thinking, turns }, stream)
    assert.ok(['', THOUGHT].includes(answer.reasoning), answer.reasoning)
    turns.push({ answer })
    return answer
  }
  const first = await step({ user: ASK_BOTH })
  assert.deepEqual([called(first), first.end], [BOTH, 'tools'])
  const results = first.calls.map((call) => ({ call, text: RESULTS[call.name] })).reverse()
  const second = await step({ results })
  assert.ok(ECHOES.includes(second.text), second.text)
  assert.deepEqual([second.calls, second.end], [[], 'end'])
  const third = await step({ user: 'Thank you' })
  assert.deepEqual([third.text, third.calls, third.end], ['Thank you', [], 'end'])
  const fourth = await step({ user: ASK_BOTH })
  assert.deepEqual([called(fourth), fourth.end], [BOTH, 'tools'])
}
