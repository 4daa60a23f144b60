/** The last `most` characters of a text that arrives in pieces. */
export class Tail {
  private pieces: string[] = []
  private length = 0
  /** Something before them was given up. */
  isCut = false

  constructor(private readonly most: number) {}

  push(piece: string) {
    this.pieces.push(piece)
    this.length += piece.length
    this.isCut ||= this.length > this.most
    while (this.length - (this.pieces[0]?.length ?? 0) >= this.most) this.length -= this.pieces.shift()?.length ?? 0
  }

  toString() {
    return this.pieces.join('').slice(-this.most)
  }
}
