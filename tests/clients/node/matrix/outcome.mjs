/** How a feature can end other than well. */
import assert from 'node:assert/strict'

/** The answer is right but for what was asked: the upstream has no such thing, and goes without it. */
export class Absent extends Error {}

/** The codes of refusals that say: not from the account that serves this. */
const REFUSALS = /unsupported_by_(account|node)/

/** What an SDK's error says of the answer's status; undefined for what is no answer. */
export function statusOf(error) {
  return typeof error?.status === 'number' ? error.status : undefined
}

/** Whether the gateway says so. */
export function isRefusal(error) {
  const told = `${error.message} ${error.code} ${JSON.stringify(error.error)}`
  return [400, 501].includes(statusOf(error)) && REFUSALS.test(told)
}

/** Whether the connection was closed ahead of the answer's end, which the SDKs raise as it is, or as a cause. */
export function isOfTheConnection(error) {
  if (error instanceof TypeError && error.message === 'terminated') return true
  return error.cause instanceof Error && isOfTheConnection(error.cause)
}

/** The error that `run` ends with. */
export async function raised(run) {
  let answer
  try {
    answer = await run()
  } catch (error) {
    return error
  }
  assert.fail(`no error, but ${JSON.stringify(answer).slice(0, 200)}`)
}
