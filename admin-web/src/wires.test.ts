import { describe, expect, it } from 'vitest'
import { exampleModel, isWire, modelsFor } from './wires'

const models = [
  { name: 'gpt-4o', platform: 'openai' },
  { name: 'claude-sonnet-4-5', platform: 'claude' },
  { name: 'claude-sonnet-10', platform: 'claude' },
  { name: 'claude-opus-11', platform: 'claude' },
  { name: 'gpt-6.2-sol', platform: 'openai' },
  { name: 'o3', platform: 'openai' },
  { name: 'text-embedding-3-large', platform: 'openai' },
]

describe('an example model', () => {
  it('is the newest of its line, by number and not by letter', () => {
    expect(exampleModel(models, 'claude')).toBe('claude-sonnet-10')
    expect(exampleModel(models, 'openai')).toBe('gpt-6.2-sol')
  })

  it('is a known name where no model has a price', () => {
    expect(exampleModel(models, 'gemini')).toBe('gemini-2.5-flash')
    expect(exampleModel([], 'openai')).toBe('gpt-5')
  })
})

describe('the models for a wire', () => {
  it('begin with those of its platform, keep the others, and leave out what answers no text', () => {
    const names = modelsFor(models, 'openai').map(({ name }) => name)
    expect(names).toEqual(['gpt-6.2-sol', 'gpt-4o', 'o3', 'claude-sonnet-10', 'claude-sonnet-4-5', 'claude-opus-11'])
  })
})

describe('a wire', () => {
  it('is one of four words', () => {
    expect(isWire('messages')).toBe(true)
    expect(isWire('converse')).toBe(false)
  })
})
