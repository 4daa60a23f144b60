/** The script of one credential at the emulator, over its HTTP control. */
export class Emulator {
  constructor(url, credential) {
    this.url = `${url}/_emulator/credentials/${encodeURIComponent(credential)}`
  }

  /** Forgets everything but that it is strict. */
  async reset() {
    await this.#call('DELETE', '')
    await this.#call('PUT', '/profile', { strict: true })
  }

  async always(behaviour) {
    await this.#call('PUT', '/default', behaviour)
  }

  async next(behaviours) {
    await this.#call('POST', '/next', behaviours)
  }

  /** `{target, status, sent, answered}` of each call, oldest first. */
  async calls() {
    return this.#call('GET', '/calls')
  }

  async #call(method, what, body) {
    const response = await fetch(this.url + what, { method, body: body && JSON.stringify(body) })
    const answer = await response.json()
    if (!response.ok) throw new Error(`the emulator refuses ${what}: ${JSON.stringify(answer)}`)
    return answer
  }
}
