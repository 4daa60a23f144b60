/** Counts: what the emulator says it counted, as the client's wire counts. */
import assert from 'node:assert/strict'

const ASKED = { turns: [{ user: 'Count this' }] }
const COUNTS = { input: 1000, cache_read: 200, output: 50 }
const WRITTEN = 30

export async function usage(trial) {
  const writes = ['messages', 'converse'].includes(await trial.upstream())
  const script = writes ? { ...COUNTS, cache_write_5m: WRITTEN } : COUNTS
  const expected = { input: writes ? 1200 + WRITTEN : 1200, cached: 200, output: 50 }
  for (const stream of [false, true]) {
    await trial.emulator.next({ usage: script })
    const { input, cached, output, written } = (await trial.askLane(ASKED, stream)).usage
    assert.deepEqual({ input, cached, output }, expected)
    if (written !== undefined) assert.equal(written, writes ? WRITTEN : 0)
  }
}

/** Tokens of a prompt, before it is asked: as the upstream counts, or near it. */
export async function countTokens({ wire, client, cell }) {
  const count = (user) => wire.count(client, cell.model, { turns: [{ user }] })
  const [short, long] = [await count('one two'), await count('one two '.repeat(100))]
  assert.ok(Number.isInteger(short) && short > 0 && long > short + 100, `${short} and ${long}`)
}

/** Azure says of the prompt, ahead of all choices, what its filter found. */
const saysSomething = (chunk) => chunk.choices.length === 1 || Boolean(chunk.prompt_filter_results)

/** Chat streams count only for who asks. */
export async function usageUnasked({ wire, client, cell }) {
  const unasked = await wire.chunks(client, cell.model, ASKED, false)
  assert.ok(unasked.every((chunk) => !('usage' in chunk) && saysSomething(chunk)))
  const asked = await wire.chunks(client, cell.model, ASKED, true)
  const last = asked.pop()
  assert.deepEqual(last.choices, [])
  assert.ok(last.usage.completion_tokens > 0)
  assert.ok(asked.every((chunk) => (chunk.usage ?? null) === null && saysSomething(chunk)))
}
