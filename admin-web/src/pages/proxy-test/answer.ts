/** Reads an answer as its bytes arrive: raw, as text, and the wire's own error. What is kept of it is bounded. */
import type { Wire } from '@/wires'
import { pieceOf, pieceOfWhole, type Piece } from './pieces'
import { SseParser } from './sse'
import { Tail } from './tail'

/** Characters that are shown, of the raw answer and of its text. */
export const MOST_SHOWN = 1 << 20
/** An answer in one piece that is longer is shown raw only. */
const MOST_WHOLE = 8 << 20

export class AnswerReader {
  readonly raw = new Tail(MOST_SHOWN)
  readonly text = new Tail(MOST_SHOWN)
  error: string | null = null
  hasContent = false
  private readonly decoder = new TextDecoder()
  private readonly events: SseParser | null
  private readonly whole = new Tail(MOST_WHOLE)

  constructor(private readonly wire: Wire, contentType: string) {
    this.events = contentType.toLowerCase().startsWith('text/event-stream') ? new SseParser() : null
  }

  push(bytes: Uint8Array) {
    this.take(this.decoder.decode(bytes, { stream: true }))
  }

  /** No more will come. */
  end() {
    this.take(this.decoder.decode())
    if (this.events === null) return this.whole.isCut ? undefined : this.read(pieceOfWhole(this.wire, String(this.whole)))
    for (const data of this.events.end()) this.read(pieceOf(this.wire, data))
  }

  private take(piece: string) {
    this.raw.push(piece)
    if (this.events === null) return this.whole.push(piece)
    for (const data of this.events.push(piece)) this.read(pieceOf(this.wire, data))
  }

  private read({ text, isContent, error }: Piece) {
    this.text.push(text)
    this.hasContent ||= isContent
    this.error ??= error
  }
}
