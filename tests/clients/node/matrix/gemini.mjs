/** Gemini, through `@google/genai`. */
import assert from 'node:assert/strict'
import { ApiError, GoogleGenAI } from '@google/genai'

const ENDS = { STOP: 'end', MAX_TOKENS: 'length', SAFETY: 'refusal', PROHIBITED_CONTENT: 'refusal' }

/** No chunk of the stream says why the answer has ended. */
class Unfinished extends Error {}

export const gemini = {
  name: 'gemini',
  /** One class for all; the status tells them apart. */
  errors: Object.fromEntries([400, 401, 403, 404, 413, 429, 500].map((status) => [status, ApiError])),
  /** Google itself calls it a bad request. */
  wrongKeyAtHome: 400,
  isMidStreamError: (error) => error instanceof ApiError,
  isCut: (error) => error instanceof Unfinished,
  overloaded: 503,

  client: ({ url, base_url = url, key }) =>
    new GoogleGenAI({ apiKey: key, vertexai: false, httpOptions: { baseUrl: base_url } }),

  async ask(client, model, asked) {
    return answer([await client.models.generateContent(body(model, asked))])
  },

  async stream(client, model, asked) {
    const chunks = []
    for await (const chunk of await client.models.generateContentStream(body(model, asked))) chunks.push(chunk)
    const candidates = chunks.flatMap((chunk) => chunk.candidates ?? [])
    if (candidates.length > 0 && !candidates.some(({ finishReason }) => finishReason)) throw new Unfinished()
    const pieces = chunks.filter((chunk) => partsOf(chunk).some((part) => part.text && !part.thought)).length
    return { ...answer(chunks), pieces }
  },

  async count(client, model, asked) {
    const { contents } = body(model, asked)
    return (await client.models.countTokens({ model, contents })).totalTokens
  },
}

function body(model, asked) {
  const config = {}
  if (asked.system) config.systemInstruction = asked.system
  if (asked.tools) {
    const functionDeclarations = asked.tools.map((tool) => ({
      name: tool.name,
      description: tool.description,
      parametersJsonSchema: tool.schema,
    }))
    config.tools = [{ functionDeclarations }]
  }
  if (asked.force) {
    config.toolConfig = { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: [asked.force] } }
  }
  if (asked.choice) config.toolConfig = { functionCallingConfig: { mode: asked.choice.toUpperCase() } }
  if (asked.thinking) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 2048 }
  if (asked.most) config.maxOutputTokens = asked.most
  if (asked.stop) config.stopSequences = [asked.stop]
  if (asked.schema) {
    config.responseMimeType = 'application/json'
    config.responseJsonSchema = asked.schema
  }
  return { model, contents: asked.turns.map(turn), config }
}

function turn({ user, answer, results }) {
  if (answer) return answer.replay
  const parts = results?.map(({ call, text }) => {
    const { id, name } = call
    return { functionResponse: { ...(id && { id }), name, response: { output: text } } }
  })
  return { role: 'user', parts: parts ?? (typeof user === 'string' ? [{ text: user }] : user.map(part)) }
}

function part({ text, image, imageUrl, pdf }) {
  if (image) return { inlineData: { mimeType: 'image/png', data: image } }
  if (imageUrl) return { fileData: { mimeType: 'image/png', fileUri: imageUrl } }
  if (pdf) return { inlineData: { mimeType: 'application/pdf', data: pdf } }
  return { text }
}

const partsOf = (chunk) => chunk.candidates?.[0]?.content?.parts ?? []

/** A stream's chunks have parts of the answer, and each has the counts so far. */
function answer(chunks) {
  const last = chunks.at(-1)
  const parts = chunks.flatMap(partsOf)
  const finishes = chunks.map((chunk) => chunk.candidates?.[0]?.finishReason).filter(Boolean)
  assert.equal(finishes.length, 1, 'one reason to finish')
  assert.ok(last.responseId)
  assert.equal(new Set(chunks.map((chunk) => chunk.modelVersion)).size, 1, 'one model')
  const calls = parts
    .filter((part) => part.functionCall)
    .map(({ functionCall: { id, name, args } }) => ({ id, name, input: args ?? {} }))
  const end = ENDS[finishes[0]]
  const joined = (thought) =>
    parts
      .filter((part) => !part.functionCall && !part.thought === !thought)
      .map((part) => part.text ?? '')
      .join('')
  return {
    text: joined(false),
    calls,
    reasoning: joined(true),
    end: end === 'end' && calls.length ? 'tools' : end,
    usage: counts(last.usageMetadata),
    // As the SDK's own chats keep it: an empty text goes, unless it bears a signature.
    replay: { role: 'model', parts: parts.filter((part) => part.text !== '' || part.thoughtSignature) },
    model: last.modelVersion,
  }
}

function counts(usage) {
  const output = (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0)
  const input = usage.promptTokenCount + (usage.toolUsePromptTokenCount ?? 0)
  assert.equal(usage.totalTokenCount, input + output)
  return {
    input,
    cached: usage.cachedContentTokenCount ?? 0,
    output,
    reasoning: usage.thoughtsTokenCount ?? 0,
  }
}
