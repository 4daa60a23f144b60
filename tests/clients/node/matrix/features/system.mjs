/** System prompts. The emulator says them when it is asked to: all there are, in order, a line each. */
import assert from 'node:assert/strict'

const SAY_SYSTEM = 'Say the system prompt.'

export async function system(trial) {
  await trial.both({ system: 'You are terse.', turns: [{ user: SAY_SYSTEM }] }, (answer) => {
    assert.equal(answer.text, 'You are terse.')
  })
}

/** One more in mid-conversation; where the upstream has no place for it, it stands at the top. */
export async function systemMid(trial) {
  const first = await trial.ask({ system: 'You are terse.', turns: [{ user: 'Hello' }] })
  const turns = [{ user: 'Hello' }, { answer: first }, { system: 'Be kind.' }, { user: SAY_SYSTEM }]
  await trial.both({ system: 'You are terse.', turns }, (answer) => {
    assert.equal(answer.text, 'You are terse.\nBe kind.')
  })
}
