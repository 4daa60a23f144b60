import { describe, expect, it } from 'vitest'
import { CLIENTS, clientsBy, PLACEHOLDER } from './snippets'

const given = { url: 'https://api.example.com/llm/', key: 'sk-1234', model: 'claude-sonnet-5-5' }

function textsOf(id: string, more: Partial<typeof given> = {}) {
  return CLIENTS.find((client) => client.id === id)?.parts({ ...given, ...more }).map(({ text }) => text) ?? []
}

describe('the settings of a client', () => {
  it('give OpenAI’s clients an address with /v1, and the others one without', () => {
    expect(textsOf('openai-python')[0]).toContain('export OPENAI_BASE_URL=https://api.example.com/llm/v1\n')
    expect(textsOf('codex')[0]).toContain('base_url = "https://api.example.com/llm/v1"')
    expect(textsOf('claude-code')[0]).toContain('export ANTHROPIC_BASE_URL=https://api.example.com/llm\n')
    expect(textsOf('anthropic-node')[0]).toContain('export ANTHROPIC_BASE_URL=https://api.example.com/llm\n')
    expect(textsOf('gemini-cli')[1]).toContain('export GOOGLE_GEMINI_BASE_URL=https://api.example.com/llm\n')
    expect(textsOf('genai-python')[1]).toContain('base_url="https://api.example.com/llm"')
    expect(textsOf('genai-node')[1]).toContain('baseUrl: "https://api.example.com/llm"')
  })

  it('reach the path of each wire with curl', () => {
    const addressOf = (id: string) => /^curl (\S+)/.exec(textsOf(id)[0] ?? '')?.[1]
    expect(addressOf('curl-chat')).toBe('https://api.example.com/llm/v1/chat/completions')
    expect(addressOf('curl-responses')).toBe('https://api.example.com/llm/v1/responses')
    expect(addressOf('curl-messages')).toBe('https://api.example.com/llm/v1/messages')
    expect(addressOf('curl-gemini')).toBe('https://api.example.com/llm/v1beta/models/claude-sonnet-5-5:generateContent')
  })

  it('never double a slash, and hold the key once at the least', () => {
    for (const client of CLIENTS) {
      const text = client.parts(given).map((part) => part.text).join('\n')
      expect(text.replaceAll('https://', ''), client.id).not.toContain('//')
      expect(text, client.id).toContain('sk-1234')
    }
  })

  it('name the model exactly where they say so', () => {
    for (const client of CLIENTS) {
      const text = client.parts(given).map((part) => part.text).join('\n')
      expect(text.includes(given.model), client.id).toBe(client.namesModel)
    }
  })

  it('keep the key out of the code', () => {
    for (const client of CLIENTS) {
      for (const part of client.parts(given)) if (part.place === 'code') expect(part.text, client.id).not.toContain('sk-1234')
    }
  })

  it('keep Codex’s key out of its file', () => {
    expect(textsOf('codex')[0]).not.toContain('sk-1234')
    expect(textsOf('codex')[1]).toBe('export SWITCHYARD_API_KEY=sk-1234\ncodex')
  })

  it('are JSON where the file is', () => {
    expect(JSON.parse(textsOf('claude-code')[1] ?? '')).toEqual({ env: { ANTHROPIC_BASE_URL: 'https://api.example.com/llm', ANTHROPIC_AUTH_TOKEN: 'sk-1234' } })
  })

  it('quote what people wrote, so that it is never a command', () => {
    const bad = { url: "https://e.com/'$(reboot)", model: 'a"b\'; reboot #' }
    expect(textsOf('claude-code', bad)[0]).toContain("export ANTHROPIC_BASE_URL='https://e.com/'\\''$(reboot)'\n")
    expect(textsOf('codex', bad)[0]).toContain('model = "a\\"b\'; reboot #"')
    expect(textsOf('openai-node', bad)[1]).toContain('model: "a\\"b\'; reboot #"')
    expect(textsOf('curl-chat', bad)[0]).toContain(`-d '{"model":"a\\"b'\\''; reboot #"`)
    expect(textsOf('curl-gemini', { model: 'a/../b?c' })[0]).toContain('/models/a%2F..%2Fb%3Fc:generateContent')
  })

  it('leave the placeholder as it is', () => {
    expect(textsOf('claude-code', { key: PLACEHOLDER })[0]).toContain('ANTHROPIC_AUTH_TOKEN=YOUR_API_KEY\n')
  })
})

describe('the clients', () => {
  it('come apart by what nodes serve', () => {
    const { served, unserved } = clientsBy(['messages', 'a wire of a later day'])
    expect(served.map(({ wire }) => wire)).toEqual(served.map(() => 'messages'))
    expect(served.map(({ id }) => id)).toContain('claude-code')
    expect(unserved.map(({ id }) => id)).toContain('codex')
    expect(served.length + unserved.length).toBe(CLIENTS.length)
  })

  it('have an id each, and are there for every wire', () => {
    expect(new Set(CLIENTS.map(({ id }) => id)).size).toBe(CLIENTS.length)
    expect(new Set(CLIENTS.map(({ wire }) => wire))).toEqual(new Set(['chat', 'responses', 'messages', 'gemini']))
  })
})
