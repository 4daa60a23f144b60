import { describe, expect, it } from 'vitest'
import { bodyOf, modelAsked, newDraft, numberOf, wrongBody, wrongNumbers, type Draft } from './rules'

const full: Omit<Draft, 'wire'> = {
  model: 'some-model', accountType: '', stream: true, maxTokens: '100', temperature: '0.5', topP: '0.9', system: 'Be brief.', prompt: 'Hello',
}
const bare = { ...full, maxTokens: '', temperature: '', topP: '', system: ' ', stream: false }
const parsed = (draft: Draft): unknown => JSON.parse(bodyOf(draft))

describe('the body of a test', () => {
  it('is what chat wants', () => {
    expect(parsed({ ...full, wire: 'chat' })).toEqual({
      model: 'some-model', messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello' }],
      max_completion_tokens: 100, temperature: 0.5, top_p: 0.9, stream: true,
    })
    expect(parsed({ ...bare, wire: 'chat' })).toEqual({ model: 'some-model', messages: [{ role: 'user', content: 'Hello' }], stream: false })
  })

  it('is what responses wants', () => {
    expect(parsed({ ...full, wire: 'responses' })).toEqual({
      model: 'some-model', instructions: 'Be brief.', input: 'Hello', max_output_tokens: 100, temperature: 0.5, top_p: 0.9, stream: true,
    })
    expect(parsed({ ...bare, wire: 'responses' })).toEqual({ model: 'some-model', input: 'Hello', stream: false })
  })

  it('is what messages wants, which needs a limit', () => {
    expect(parsed({ ...full, wire: 'messages' })).toEqual({
      model: 'some-model', max_tokens: 100, system: 'Be brief.', messages: [{ role: 'user', content: 'Hello' }], temperature: 0.5, top_p: 0.9, stream: true,
    })
    expect(parsed({ ...bare, wire: 'messages' })).toEqual({ model: 'some-model', max_tokens: 1024, messages: [{ role: 'user', content: 'Hello' }], stream: false })
  })

  it('is what gemini wants, which has model and stream in its path', () => {
    expect(parsed({ ...full, wire: 'gemini' })).toEqual({
      systemInstruction: { parts: [{ text: 'Be brief.' }] }, contents: [{ role: 'user', parts: [{ text: 'Hello' }] }],
      generationConfig: { maxOutputTokens: 100, temperature: 0.5, topP: 0.9 },
    })
    expect(parsed({ ...bare, wire: 'gemini' })).toEqual({ contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] })
  })

  it('leaves out a number that is none', () => {
    expect(parsed({ ...full, wire: 'chat', temperature: 'hot' })).not.toHaveProperty('temperature')
  })
})

describe('the model asked for', () => {
  it('has the account type before it, where one is chosen', () => {
    expect(modelAsked({ model: ' gpt-5 ', accountType: '' })).toBe('gpt-5')
    expect(modelAsked({ model: 'gpt-5', accountType: 'azure-openai' })).toBe('azure-openai,gpt-5')
    expect(parsed({ ...bare, wire: 'chat', accountType: 'openai' })).toHaveProperty('model', 'openai,some-model')
  })
})

describe('a number', () => {
  it('may be left out, and else stands in its range', () => {
    expect(numberOf('maxTokens', ' ')).toBeUndefined()
    expect(numberOf('maxTokens', '12')).toBe(12)
    expect(numberOf('temperature', '0.25')).toBe(0.25)
    for (const bad of ['0', '-1', '1.5', '1e3', 'x', '99999999']) expect(numberOf('maxTokens', bad), bad).toBeNull()
    expect(numberOf('temperature', '2.1')).toBeNull()
    expect(numberOf('topP', '1.01')).toBeNull()
  })

  it('is named where it is wrong', () => {
    const draft = newDraft('chat', 'gpt-5')
    expect(wrongNumbers(draft)).toEqual([])
    expect(wrongNumbers({ ...draft, maxTokens: 'x', topP: '2' })).toEqual(['maxTokens', 'topP'])
  })
})

describe('an edited body', () => {
  it('is an object of JSON', () => {
    expect(wrongBody('{"model": "x"}')).toBeNull()
    expect(wrongBody('[1]')).toEqual({ said: '' })
    expect(wrongBody('null')).toEqual({ said: '' })
    expect(wrongBody('{"model": }')?.said).not.toBe('')
  })
})
