/** Server-sent events from text that arrives in pieces, cut anywhere. Only their data matters here. */

/** A frame that grows longer than this is dropped. */
const MAX_FRAME = 4 << 20

export class SseParser {
  private rest = ''
  private data: string[] = []
  private length = 0

  /** The data of the events that ended in this piece. */
  push(piece: string): string[] {
    this.rest += piece
    // A CR at the end may be half of a CRLF.
    const held = this.rest.endsWith('\r') ? '\r' : ''
    const lines = this.rest.slice(0, this.rest.length - held.length).split(/\r\n|\n|\r/)
    this.rest = (lines.pop() ?? '') + held
    const ended = lines.map((line) => this.line(line)).filter((data) => data !== null)
    if (this.rest.length > MAX_FRAME) this.rest = ''
    return ended
  }

  /** What stands after the last blank line, where the stream ended without one. */
  end(): string[] {
    const ended = [this.line(this.rest.replace(/\r$/, '')), this.line('')].filter((data) => data !== null)
    this.rest = ''
    return ended
  }

  private line(line: string): string | null {
    if (line === '') {
      const data = this.length > 0 && this.length <= MAX_FRAME ? this.data.join('\n') : null
      this.data = []
      this.length = 0
      return data
    }
    const match = /^data: ?/.exec(`${line}${line === 'data' ? ':' : ''}`)
    if (match === null) return null
    const value = line.slice(match[0].length)
    this.length += value.length + 1
    if (this.length <= MAX_FRAME) this.data.push(value)
    else this.data = []
    return null
  }
}
