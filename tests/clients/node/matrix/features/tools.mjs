/** Calls: one that is demanded, several at once, and only one of several. */
import assert from 'node:assert/strict'
import { Absent } from '../outcome.mjs'

const WEATHER = {
  name: 'get_weather',
  description: 'The weather of a city',
  schema: {
    type: 'object',
    properties: {
      city: { type: 'string', description: 'Its name' },
      unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
    },
    required: ['city', 'unit'],
    additionalProperties: false,
  },
}
const TIME = { name: 'get_time', description: 'The time', schema: { type: 'object', properties: {} } }
export const TOOLS = [WEATHER, TIME]
/** A last message with a tool's name makes the emulator call it, with what the schema requires. */
export const ASK_BOTH = 'Please call get_weather and get_time for Oslo'
export const BOTH = [
  ['get_weather', { city: 'city', unit: 'celsius' }],
  ['get_time', {}],
]

/** Names and input of the calls, whose ids differ. */
export function called(answer) {
  const ids = answer.calls.map((call) => call.id).filter(Boolean)
  assert.equal(new Set(ids).size, ids.length, 'ids differ')
  return answer.calls.map((call) => [call.name, call.input])
}

export async function tools(trial) {
  for (const [index, force] of ['get_weather', 'get_time'].entries()) {
    await trial.both({ turns: [{ user: 'Oslo, please' }], tools: TOOLS, force }, (answer) => {
      assert.deepEqual(called(answer), [BOTH[index]])
      assert.equal(answer.end, 'tools')
      assert.equal(answer.text, '')
    })
  }
}

export async function parallelTools(trial) {
  await trial.both({ turns: [{ user: ASK_BOTH }], tools: TOOLS }, (answer) => {
    assert.deepEqual(called(answer), BOTH)
    assert.equal(answer.end, 'tools')
  })
}

export async function oneCall(trial) {
  await trial.both({ turns: [{ user: ASK_BOTH }], tools: TOOLS, parallel: false }, (answer) => {
    if (answer.calls.length > 1) throw new Absent('the model calls as many tools at a time as it likes')
    assert.deepEqual(called(answer), BOTH.slice(0, 1))
  })
}

/** Any tool at all, which is the first to the emulator, and none. */
export async function toolChoice(trial) {
  await trial.both({ turns: [{ user: 'Oslo, please' }], tools: TOOLS, choice: 'any' }, (answer) => {
    assert.deepEqual(called(answer), BOTH.slice(0, 1))
  })
  await trial.both({ turns: [{ user: ASK_BOTH }], tools: TOOLS, choice: 'none' }, (answer) => {
    assert.deepEqual([answer.calls, answer.text, answer.end], [[], ASK_BOTH, 'end'])
  })
}

/** Tools that take free text, which others have to be told as an object with one. */
export async function customTools(trial) {
  const turns = [{ user: 'Call run_shell' }]
  const tools = [{ name: 'run_shell', description: 'Runs a command' }, TIME]
  await trial.both({ turns, tools }, async (answer, stream) => {
    assert.deepEqual([called(answer), answer.end], [[['run_shell', 'input']], 'tools'])
    const results = [{ call: answer.calls[0], text: 'done' }]
    const second = await trial.ask({ turns: [...turns, { answer }, { results }], tools }, stream)
    assert.deepEqual([second.text, second.calls, second.end], ['done', [], 'end'])
  })
}
