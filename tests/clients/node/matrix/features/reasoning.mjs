/** Thoughts: shown where the upstream shows them, and taken back with the history. */
import assert from 'node:assert/strict'
import { Absent } from '../outcome.mjs'

/** What the emulator thinks. */
export const THOUGHT = 'The request is clear; the answer repeats it.'
const USER = { user: 'Think about Oslo' }

export async function reasoning(trial) {
  await trial.both({ turns: [USER], thinking: true }, async (answer, stream) => {
    assert.deepEqual([answer.text, answer.end], [USER.user, 'end'])
    if (trial.wire.name === 'messages') assertSigned(answer.replay)
    const turns = [USER, { answer }, { user: 'And of Bergen' }]
    const again = await trial.ask({ turns, thinking: true }, stream)
    assert.deepEqual([again.text, again.end], ['And of Bergen', 'end'])
    for (const { reasoning, usage } of [answer, again]) {
      if (!reasoning) {
        throw new Absent(usage.reasoning ? 'the model thinks, and shows nothing of it' : 'the model does not think')
      }
      assert.equal(reasoning, THOUGHT)
      assert.ok(usage.output >= usage.reasoning)
    }
  })
}

function assertSigned(content) {
  const thoughts = content.filter((block) => block.type === 'thinking')
  assert.ok(thoughts.every((block) => typeof block.signature === 'string'))
}
