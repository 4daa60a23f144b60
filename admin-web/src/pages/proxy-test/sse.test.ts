import { describe, expect, it } from 'vitest'
import { SseParser } from './sse'

const STREAM = ': hello\r\n\r\nevent: a\r\ndata: {"n":1}\r\n\r\ndata: one\ndata: two\n\nid: 7\rdata:three\r\rdata: [DONE]\n\n'
const DATA = ['{"n":1}', 'one\ntwo', 'three', '[DONE]']

describe('server-sent events', () => {
  it('are the same wherever the stream is cut', () => {
    for (let size = 1; size <= STREAM.length; size += 1) {
      const parser = new SseParser()
      const found: string[] = []
      for (let at = 0; at < STREAM.length; at += size) found.push(...parser.push(STREAM.slice(at, at + size)))
      expect([...found, ...parser.end()], `pieces of ${size}`).toEqual(DATA)
    }
  })

  it('come as soon as their frame ends', () => {
    const parser = new SseParser()
    expect(parser.push('data: 1\n')).toEqual([])
    expect(parser.push('\ndata: 2')).toEqual(['1'])
    expect(parser.push('\n\n')).toEqual(['2'])
  })

  it('end with the stream, also without a blank line', () => {
    const parser = new SseParser()
    expect(parser.push('data: last')).toEqual([])
    expect(parser.end()).toEqual(['last'])
    expect(parser.end()).toEqual([])
  })

  it('drop a frame that would grow without end, and go on after it', () => {
    const parser = new SseParser()
    const line = `data: ${'x'.repeat(1 << 20)}\n`
    for (let lines = 0; lines < 6; lines += 1) expect(parser.push(line)).toEqual([])
    expect(parser.push('\ndata: next\n\n')).toEqual(['next'])
  })
})
