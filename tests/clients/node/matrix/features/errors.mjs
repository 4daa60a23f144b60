/** Errors come as the SDK's own classes: the gateway's, the upstream's about the request, and its troubles. */
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { raised, statusOf } from '../outcome.mjs'

const ASKED = { turns: [{ user: 'one two three four five six seven eight' }] }
/** The shortest pause that an upstream can ask for. */
const SOON = { retry_after: '0' }
const OVERLOADED = { chat: 503, responses: 503, messages: 529, gemini: 503 }
const RECOVERS_WITHIN_MS = 10_000
const LOOKS_EVERY_MS = 20

const fails = (status, more) => ({ fault: { status: { status, ...more } } })

function assertRaised(trial, error, status) {
  const known = trial.wire.errors[Math.min(status, 500)]
  assert.ok(error instanceof known, `${status} came as ${error.stack}`)
  assert.equal(statusOf(error), status, error.message)
}

/** The upstream refuses the request itself: status and words come through. */
export const refused = (status, message) => async (trial) => {
  for (const stream of [false, true]) {
    await trial.emulator.next(fails(status, { error: { message } }))
    const error = await raised(() => trial.askLane(ASKED, stream))
    assertRaised(trial, error, status)
    assert.ok(error.message.includes(message), error.message)
  }
}

/** The account's own trouble, which the client can do nothing about: its key is good. */
export async function forbidden(trial) {
  // Once: then the gateway finds out by a test whether the account's credential is any good.
  await trial.emulator.next(fails(403, { error: { message: 'not for this organization' } }))
  const error = await raised(() => trial.askLane(ASKED, false))
  assertRaised(trial, error, trial.isDirect ? 403 : 502)
}

/** The provider does not have the model, or not for this account. */
export async function withoutModel(trial) {
  await trial.emulator.always({ fault: { refused: 'model_unknown' } })
  for (const stream of [false, true]) {
    const error = await raised(() => trial.askLane(ASKED, stream))
    assertRaised(trial, error, 404)
    assert.ok(trial.isDirect || error.message.includes('has access to this model'), error.message)
  }
}

export async function wrongKey(trial) {
  const stranger = trial.wire.client({ ...trial.place, key: `sk-unknown${'0'.repeat(57)}` })
  const error = await raised(() => trial.as(trial.cell.model, ASKED, false, stranger))
  assertRaised(trial, error, (trial.isDirect && trial.wire.wrongKeyAtHome) || 401)
}

export async function unknownModel(trial) {
  const error = await raised(() => trial.as('no-such-model', ASKED))
  assertRaised(trial, error, 404)
  assert.ok(error.message.includes('no-such-model'), error.message)
}

/** Scripts go, and the lane answers again. */
async function recovered(trial) {
  await trial.emulator.plain()
  const until = Date.now() + RECOVERS_WITHIN_MS
  for (;;) {
    try {
      return await trial.askLane(ASKED)
    } catch (error) {
      if (Date.now() > until) throw error
      await pause(LOOKS_EVERY_MS)
    }
  }
}

/** The upstream is in trouble, and stays so. */
async function inTrouble(trial, behaviour, check) {
  for (const stream of [false, true]) {
    await trial.emulator.always(behaviour)
    const error = await raised(() => trial.askLane(ASKED, stream)).finally(() => recovered(trial))
    check(error)
  }
}

export async function broken(trial) {
  await inTrouble(trial, fails(500), (error) => {
    assert.ok(error instanceof trial.wire.errors[500], error.stack)
    assert.ok(statusOf(error) >= 500, error.message)
  })
}

export async function limited(trial) {
  await inTrouble(trial, fails(429, SOON), (error) => {
    assertRaised(trial, error, 429)
    // Google's SDK does not show headers, and Google says it in the body.
    if (trial.wire.name !== 'gemini') assert.match(error.headers.get('retry-after'), /^\d+$/)
  })
}

/** Anthropic has a status of its own for it, which others may borrow; Google does not. */
export async function overloaded(trial) {
  const upstream = await trial.upstream()
  const status = trial.isDirect || upstream === 'gemini' ? OVERLOADED[upstream] : 529
  await inTrouble(trial, fails(status, SOON), (error) => assertRaised(trial, error, trial.wire.overloaded))
}

/** What was said before it broke has been heard; then comes an error, or the connection ends, and no answer. */
async function breaks(trial, fault) {
  await trial.emulator.next({ chunks: 8, fault })
  const error = await raised(() => trial.askLane(ASKED, true)).finally(() => recovered(trial))
  assert.ok(!(error instanceof assert.AssertionError), error.stack)
  return error
}

export async function inStream(trial) {
  const error = { at: { content: 2 }, status: 500, error: { message: 'the model fell over' } }
  const came = await breaks(trial, { error_event: error })
  assert.ok(trial.wire.isMidStreamError(came), came.stack)
}

export async function cut(trial) {
  const came = await breaks(trial, { cut: { content: 2 } })
  if (!trial.isDirect) assert.ok(trial.wire.isCut(came), came.stack)
}
