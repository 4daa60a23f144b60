/** Images and documents. The emulator notes what it was shown at the end of its echo. */
import assert from 'node:assert/strict'
import { TOOLS, called } from './tools.mjs'

/** A grey pixel. */
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCB2Zd6VwAAAABJRU5ErkJggg=='
const PDF = Buffer.from(
  '%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n' +
    'trailer<</Root 1 0 R>>\n%%EOF\n',
).toString('base64')
const URL = 'https://images.example.com/oslo.png'

const bytes = (data) => Buffer.from(data, 'base64').length

async function shown(trial, part, note) {
  await trial.both({ turns: [{ user: [{ text: 'Look' }, part] }] }, (answer) => {
    assert.deepEqual([answer.text, answer.end], [`Look [${note}]`, 'end'])
  })
}

export const images = (trial) => shown(trial, { image: PNG }, `image/png, ${bytes(PNG)} bytes`)

export const imageUrls = (trial) => shown(trial, { imageUrl: URL }, URL)

export const pdf = (trial) => shown(trial, { pdf: PDF }, `application/pdf, ${bytes(PDF)} bytes`)

/** An image in a tool's result; where it can't stand there, it stands behind it. */
export async function toolMedia(trial) {
  const asked = { turns: [{ user: 'Call get_time' }], tools: TOOLS }
  await trial.both(asked, async (answer, stream) => {
    assert.deepEqual(called(answer), [['get_time', {}]])
    const results = [{ call: answer.calls[0], text: 'noon', image: PNG }]
    const second = await trial.ask({ ...asked, turns: [...asked.turns, { answer }, { results }] }, stream)
    assert.ok(second.text.includes(`[image/png, ${bytes(PNG)} bytes]`), second.text)
  })
}
