/** One wire on one column: asks through the wire's SDK, and knows what stands behind. */
import { Emulator } from './emulator.mjs'

/** By where a request comes to upstream. Claude on Bedrock speaks its own wire. */
const UPSTREAMS = [
  [/\/messages|\/invoke/, 'messages'],
  [/\/chat\/completions/, 'chat'],
  [/\/responses/, 'responses'],
  [/enerateContent/, 'gemini'],
  [/\/converse/, 'converse'],
]

export class Trial {
  #upstream

  constructor(cell, wire, emulatorUrl, gateway) {
    const [lane] = cell.lanes.node[wire.name]
    this.cell = cell
    this.wire = wire
    this.lane = lane.model
    this.emulator = new Emulator(emulatorUrl, lane.emulator_key)
    this.place = cell.base_url ? { base_url: cell.base_url, key: lane.emulator_key } : gateway
    this.client = wire.client(this.place)
  }

  /** The emulator itself is asked: then its own words are right. */
  get isDirect() {
    return Boolean(this.cell.base_url)
  }

  /** A turn of the model: `{text, calls, reasoning, end, usage, replay}`, and of a stream how many `pieces` of text. */
  async ask(asked, stream = false) {
    const { model, reasoning_model } = this.cell
    return this.as(asked.thinking ? reasoning_model : model, asked, stream)
  }

  /** Asks the account that can be scripted. */
  async askLane(asked, stream = false) {
    return this.as(this.lane, asked, stream)
  }

  async as(model, asked, stream = false, client = this.client) {
    return this.wire[stream ? 'stream' : 'ask'](client, model, asked)
  }

  /** Asks for a whole answer and for a stream, and checks each. */
  async both(asked, check) {
    for (const stream of [false, true]) await check(await this.ask(asked, stream), stream)
  }

  /** The wire that the upstream is spoken to in. */
  async upstream() {
    if (!this.#upstream) {
      await this.askLane({ turns: [{ user: 'Who serves this?' }] })
      const { target } = await this.emulator.lastCall()
      this.#upstream = UPSTREAMS.find(([path]) => path.test(target))?.[1]
      if (!this.#upstream) throw new Error(`the request came to ${target}`)
    }
    return this.#upstream
  }
}
