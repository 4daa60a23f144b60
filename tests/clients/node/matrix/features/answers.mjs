/** Text, whole, in pieces, and in a form. The emulator echoes what it is asked. */
import assert from 'node:assert/strict'

const TEXT = 'Grüße aus 世界: 🦀 one two three four'
const SCHEMA = {
  type: 'object',
  properties: {
    city: { type: 'string' },
    degrees: { type: 'integer' },
    wind: { type: 'array', items: { type: 'string' } },
  },
  required: ['city', 'degrees', 'wind'],
  additionalProperties: false,
}
/** What the emulator fills in. */
const FILLED = { city: 'city', degrees: 1, wind: ['wind'] }

function assertEcho(trial, answer) {
  assert.deepEqual([answer.text, answer.calls], [TEXT, []])
  // The gateway calls the model as the client does; OpenAI tells its version.
  if (!trial.isDirect) assert.equal(answer.model, trial.cell.model)
  assert.ok(answer.usage.input > 0 && answer.usage.output > 0)
}

export async function plain(trial) {
  assertEcho(trial, await trial.ask({ turns: [{ user: TEXT }] }))
}

export async function stream(trial) {
  const answer = await trial.ask({ turns: [{ user: TEXT }] }, true)
  assertEcho(trial, answer)
  assert.ok(answer.pieces > 1, `a stream of ${answer.pieces} pieces`)
}

export async function structured(trial) {
  await trial.both({ turns: [{ user: 'The weather of Oslo?' }], schema: SCHEMA }, (answer) => {
    assert.deepEqual(JSON.parse(answer.text), FILLED)
  })
}
