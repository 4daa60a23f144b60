/** System prompts. The emulator says them when it is asked to: all there are, in order, a line each. */
import assert from 'node:assert/strict'

const SAY_SYSTEM = 'Say the system prompt.'

export async function system(trial) {
  await trial.both({ system: 'You are terse.', turns: [{ user: SAY_SYSTEM }] }, (answer) => {
    assert.equal(answer.text, 'You are terse.')
  })
}

/** One more in mid-conversation, which stays there: where the upstream knows none, the user tells it. */
export async function systemMid(trial) {
  const ask = (turns, stream) => trial.askLane({ system: 'You are terse.', turns }, stream)
  const first = await ask([{ user: 'Hello' }])
  const last = [{ system: 'Be kind.' }, { user: SAY_SYSTEM }]
  // In messages it stands behind what the user says, which is answered next.
  if (trial.wire.name === 'messages') last.reverse()
  const knows = ['chat', 'responses'].includes(await trial.upstream())
  for (const stream of [false, true]) {
    const { text } = await ask([{ user: 'Hello' }, { answer: first }, ...last], stream)
    const told = toldOf((await trial.emulator.lastCall()).body)
    assert.deepEqual(
      told.slice(-2).map((one) => one.text),
      last.map((turn) => turn.system ?? turn.user),
    )
    const { role } = told.find((one) => one.text === 'Be kind.')
    assert.ok(['system', 'developer'].includes(role) || (role === 'user' && !knows), `the ${role} tells it`)
    // The emulator says all prompts of the system.
    assert.equal(text, role === 'user' ? 'You are terse.' : 'You are terse.\nBe kind.')
  }
}

/** Who says what in a conversation as it came upstream, a text each. Code Assist has Gemini's request in its own. */
function toldOf({ request, ...body }) {
  const { messages, input, contents } = request ?? body
  return (messages ?? input ?? contents).flatMap(({ role, content, parts }) =>
    partsOf(content ?? parts ?? [])
      .filter((part) => part.text)
      .map(({ text }) => ({ role, text })),
  )
}

const partsOf = (said) => (typeof said === 'string' ? [{ text: said }] : said)
