/** The script of one credential at the emulator, over its HTTP control. */
export class Emulator {
  constructor(url, credential) {
    this.url = `${url}/_emulator/credentials/${encodeURIComponent(credential)}`
  }

  /** The credential's next request is answered like this. */
  async next(behaviour) {
    await this.#call('POST', '/next', behaviour)
  }

  /** Every request is, until `plain`. */
  async always(behaviour) {
    await this.#call('PUT', '/default', behaviour)
  }

  /** No request is any more. What is queued for requests that never came must not wait for others. */
  async plain() {
    const { queued } = await this.#call('PUT', '/default', {})
    if (!queued) return
    await this.#call('DELETE', '')
    await this.#call('PUT', '/profile', { strict: true })
  }

  /** The last request, with its body parsed. */
  async lastCall() {
    const { target, body } = (await this.#call('GET', '/calls')).at(-1)
    return { target, body: JSON.parse(Buffer.from(body, 'base64').toString()) }
  }

  async #call(method, what, body) {
    const response = await fetch(this.url + what, { method, body: body && JSON.stringify(body) })
    const answer = await response.json()
    if (!response.ok) throw new Error(`the emulator refuses ${what}: ${JSON.stringify(answer)}`)
    return answer
  }
}
