/** Why an answer ends. */
import assert from 'node:assert/strict'
import { Absent } from '../outcome.mjs'
import { TOOLS } from './tools.mjs'

/** Four bytes are a token to the emulator. */
const LONG = 'one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen'
const REFUSE = 'Refuse this.'

const said = (user, more) => ({ turns: [{ user }], ...more })

export async function end(trial) {
  await trial.both(said(LONG), (answer) => assert.deepEqual([answer.text, answer.end], [LONG, 'end']))
}

export async function length(trial) {
  await trial.both(said(LONG, { most: 16 }), (answer) => {
    if (answer.text === LONG) throw new Absent('the answer is as long as it would be without a limit')
    assert.deepEqual([answer.text, answer.end], [LONG.slice(0, 64), 'length'])
  })
}

export async function sequence(trial) {
  const upstream = await trial.upstream()
  // To chat and Gemini it is a natural end, so that who stands behind them can't tell.
  const known = trial.wire.name === 'messages' && ['messages', 'converse'].includes(upstream)
  await trial.both(said('first, then zebra', { stop: 'then' }), (answer) => {
    if (answer.text === 'first, then zebra') throw new Absent('the answer goes on behind the sequence')
    assert.deepEqual([answer.text, answer.end], ['first, ', known ? 'sequence' : 'end'])
    // Converse says that it was one, but not which.
    if (known && upstream === 'messages') assert.equal(answer.sequence, 'then')
  })
}

export async function tool(trial) {
  await trial.both(said('Call get_time', { tools: TOOLS }), (answer) => {
    assert.deepEqual([answer.calls.length, answer.end], [1, 'tools'])
  })
}

export async function refusal(trial) {
  await trial.both(said(REFUSE), (answer) => assert.equal(answer.end, 'refusal'))
}
