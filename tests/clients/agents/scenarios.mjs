/** What agents are tried in. Each is a function of a trial, and throws where it does not go as planned. */
import { deflateSync } from 'node:zlib'
import { expect, USAGE } from './trial.mjs'

export const FILES = { 'first.txt': 'alpha one\n', 'second.txt': 'beta two\n' }
const PROMPT = 'Carry out the first plan.'
const FILLER = 'Say how full the window is.'
const NEXT_PROMPT = 'Carry out the second plan.'
const LAST_WORD = 'Both files are read, and the first is changed.'
const NEXT_WORD = 'The second is changed too.'

/** Reads two files at once, changes one, has a last word. */
function turns({ agent, place }) {
  const { read, edit } = agent.calls
  return [
    { text: 'First I read.', calls: [read(place, 'first.txt'), read(place, 'second.txt')] },
    { calls: [edit(place, 'first.txt', 'alpha one', 'alpha changed')] },
    { text: LAST_WORD },
  ]
}

function nextTurns({ agent, place }) {
  const { read, edit } = agent.calls
  return [
    { calls: [read(place, 'second.txt')] },
    { calls: [edit(place, 'second.txt', 'beta two', 'beta changed')] },
    { text: NEXT_WORD },
  ]
}

async function changed(trial, name, wanted) {
  const content = await trial.place.read(name)
  expect(content === wanted, `${name} holds ${JSON.stringify(content)}`)
}

function hasSaid({ text }, wanted) {
  expect(text?.trim().endsWith(wanted), `its last word is ${JSON.stringify(text)}`)
}

async function wholeLoop(trial, options) {
  await trial.script({ [PROMPT]: turns(trial) }, options)
  const run = await trial.ask(PROMPT)
  hasSaid(run, LAST_WORD)
  await changed(trial, 'first.txt', 'alpha changed\n')
  return run
}

/** The same session goes on, on the next target. */
async function goOn(trial) {
  const { session } = await wholeLoop(trial)
  await trial.script({ [PROMPT]: turns(trial), [NEXT_PROMPT]: nextTurns(trial) })
  hasSaid(await trial.ask(NEXT_PROMPT, { session, target: trial.targets.length - 1 }), NEXT_WORD)
  await changed(trial, 'second.txt', 'beta changed\n')
}

/** The newest Codex has its model write programs that call the tools. */
async function code(trial) {
  const patch = trial.agent.calls.edit(trial.place, 'first.txt', 'alpha one', 'alpha changed').arguments
  const program = `
    const read = (name) => tools.exec_command({ cmd: 'cat ' + name })
    const [one] = await Promise.all([read('first.txt'), read('second.txt')])
    text(JSON.stringify(one))
    text(await tools.apply_patch(${JSON.stringify(patch)}))`
  await trial.script({ [PROMPT]: [{ calls: [{ name: 'exec', arguments: program }] }, { text: LAST_WORD }] })
  hasSaid(await trial.ask(PROMPT), LAST_WORD)
  await changed(trial, 'first.txt', 'alpha changed\n')
}

async function subagent(trial) {
  const { read, delegate } = trial.agent.calls
  const task = 'Carry out the plan of the one that was sent.'
  await trial.script({
    [PROMPT]: [{ calls: [delegate(task)] }, { text: LAST_WORD }],
    [task]: [{ calls: [read(trial.place, 'second.txt')] }, { text: 'The second file says beta two.' }],
  })
  hasSaid(await trial.ask(PROMPT), LAST_WORD)
  await trial.collect()
  const told = trial.calls.at(-1).body
  expect(told.includes('The second file says beta two.'), 'what the subagent found did not come back')
}

/** The agent shows its model an image: as what a tool gives, or with the prompt. */
async function image(trial) {
  await trial.place.write('picture.png', picture())
  const { look, read } = trial.agent.calls
  const call = look ? look(trial.place, 'picture.png') : read(trial.place, 'first.txt')
  await trial.script({ [PROMPT]: [{ calls: [call] }, { text: LAST_WORD }] })
  hasSaid(await trial.ask(look ? PROMPT : `${PROMPT} @picture.png`), LAST_WORD)
  await trial.collect()
  const { body } = trial.calls.at(-1)
  expect(body.includes(picture().toString('base64').slice(0, 60)), 'the image did not come to the model')
}

/** The upstream has no room in the middle of it; another account takes over, or the agent asks again. */
async function limited(trial) {
  const fault = { status: { status: 429, retry_after: '1' } }
  await wholeLoop(trial, { queue: [{}, { fault }] })
}

/** The stream breaks off within the first content of the second turn. */
async function cut(trial) {
  await wholeLoop(trial, { queue: [{}, { fault: { cut: { content: 1 } } }] })
}

/** The prompt has become too long for the model: the agent sums up, and goes on. */
async function overflow(trial) {
  const { session } = await wholeLoop(trial)
  const { status, ...error } = OVERFLOW[trial.spec.upstream]
  const plans = { [PROMPT]: turns(trial), [NEXT_PROMPT]: nextTurns(trial) }
  for (const words of SUMMARY_WORDS) plans[words] = [{ text: `The summary. ${NEXT_PROMPT}` }]
  await trial.script(plans, { queue: [{ fault: { status: { status, error } } }] })
  hasSaid(await trial.ask(NEXT_PROMPT, { session }), NEXT_WORD)
  await changed(trial, 'second.txt', 'beta changed\n')
}

/** The window is full by the upstream's count: the agent sums up by itself, and goes on. */
async function compact(trial) {
  const { session } = await wholeLoop(trial)
  await trial.script({ [FILLER]: [{ text: 'Full.' }] }, { usage: { ...USAGE, input: trial.agent.full } })
  hasSaid(await trial.ask(FILLER, { session }), 'Full.')
  const plans = { [PROMPT]: turns(trial), [NEXT_PROMPT]: nextTurns(trial) }
  for (const words of SUMMARY_WORDS) plans[words] = [{ text: `The summary. ${NEXT_PROMPT}` }]
  await trial.script(plans)
  hasSaid(await trial.ask(NEXT_PROMPT, { session }), NEXT_WORD)
  await changed(trial, 'second.txt', 'beta changed\n')
  await trial.collect()
  const isSummedUp = trial.calls.some(({ body }) => SUMMARY_WORDS.some((words) => body.includes(words)))
  expect(isSummedUp, 'it did not sum up')
}

/** What agents say when they ask for a summary. */
const SUMMARY_WORDS = [
  'create a detailed summary of the conversation',
  'CONTEXT CHECKPOINT COMPACTION',
  'state_snapshot',
]

/** How providers say that a prompt is too long. */
const OVERFLOW = {
  messages: {
    status: 400,
    kind: 'invalid_request_error',
    message: 'prompt is too long: 213462 tokens > 200000 maximum',
  },
  bedrock: { status: 400, kind: 'ValidationException', message: 'Input is too long for requested model.' },
  responses: {
    status: 400,
    kind: 'invalid_request_error',
    code: 'context_length_exceeded',
    message:
      'Your input exceeds the context window of this model. Please adjust your input and try again.',
  },
  chat: {
    status: 400,
    kind: 'invalid_request_error',
    code: 'context_length_exceeded',
    message:
      "This model's maximum context length is 128000 tokens. However, your messages resulted in 150213 tokens. Please reduce the length of the messages.",
  },
  gemini: {
    status: 400,
    kind: 'INVALID_ARGUMENT',
    message: 'The input token count (1103462) exceeds the maximum number of tokens allowed (1048576).',
  },
}

/** Upstreams that count; for others the gateway estimates. */
const COUNTING = ['messages', 'bedrock', 'responses', 'gemini']

/** What fills the context, counted by the provider. */
async function count(trial) {
  await trial.script({})
  const { text } = await trial.ask('/context')
  expect(/tokens/i.test(text ?? ''), `it says ${JSON.stringify(text)}`)
  await trial.collect()
  const isCounted = trial.calls.some(({ target }) => /count|input_tokens/i.test(target))
  expect(isCounted === COUNTING.includes(trial.spec.upstream), `counting came upstream: ${isCounted}`)
}

/** The agent asks which models there are. */
async function discovery(trial) {
  await trial.script({ [PROMPT]: [{ text: LAST_WORD }] })
  hasSaid(await trial.ask(PROMPT, { discovers: true }), LAST_WORD)
  const found = JSON.parse(await trial.place.kept('.claude/cache/gateway-models.json')).models
  const ids = found.map(({ id }) => id)
  expect(ids.includes(trial.targets[0].model), `it found ${ids}`)
}

/** A PNG of one red pixel. */
export function picture() {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data])
    const length = Buffer.alloc(4)
    length.writeUInt32BE(data.length)
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  const head = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0])
  const pixels = deflateSync(Buffer.from([0, 255, 0, 0]))
  const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10])
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))])
}

function crc32(bytes) {
  let sum = ~0
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0)
  }
  return ~sum >>> 0
}

export const SCENARIOS = {
  loop: { run: (trial) => wholeLoop(trial) },
  continue: { run: goOn },
  code: { run: code, known: 'gpt-6.2-sol' },
  subagent: { run: subagent },
  image: { run: image },
  429: { run: limited },
  cut: { run: cut },
  overflow: { run: overflow },
  compact: { run: compact },
  count: { run: count },
  discovery: { run: discovery },
}
