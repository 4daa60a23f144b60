/**
 * Settings of the usual clients for this server. Base addresses go by what a client adds by itself: those of OpenAI add
 * what stands after `/v1`, the others add `/v1…` too.
 *
 * Address, key and model come from people: each is quoted for the language that it stands in.
 */
import { isWire, type Wire } from '@/wires'

export interface Given {
  /** The data plane's address, as an admin set it. */
  url: string
  key: string
  model: string
}

/** A piece to be copied. */
export interface Part {
  place: 'shell' | 'code' | 'file'
  /** Of a file: its path. */
  file?: string
  text: string
}

export interface Client {
  id: string
  /** As its makers write it; the same in every language. */
  name: string
  wire: Wire
  /** Whether the settings name a model. */
  namesModel: boolean
  /** Last part of the key of what else there is to say. */
  note?: string
  parts: (given: Given) => Part[]
}

/** Where the key is not known any more. */
export const PLACEHOLDER = 'YOUR_API_KEY'

/** For a POSIX shell. */
function sh(text: string) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** A literal of JSON is one of Python, JavaScript and TOML as well. */
const literal = (text: string) => JSON.stringify(text)
const json = (value: unknown) => JSON.stringify(value, null, 2)

/** The address without what would double the slash. */
const base = (url: string) => url.replace(/\/+$/, '')

function shell(variables: Record<string, string>, ...commands: string[]): Part {
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${sh(value)}`)
  return { place: 'shell', text: [...exports, ...commands].join('\n') }
}

const code = (text: string): Part => ({ place: 'code', text })

function curl(url: string, headers: Record<string, string>, body: object): Part {
  const all = Object.entries({ ...headers, 'content-type': 'application/json' }).map(([name, value]) => `-H ${sh(`${name}: ${value}`)}`)
  return { place: 'shell', text: [`curl ${sh(url)}`, ...all, `-d ${sh(JSON.stringify(body))}`].join(' \\\n  ') }
}

const HELLO = 'Hello'
const messages = [{ role: 'user', content: HELLO }]

/** What they all understand, whatever version of Messages the client speaks. */
const ANTHROPIC_VERSION = '2023-06-01'

const anthropic = ({ url, key }: Given) => ({ ANTHROPIC_BASE_URL: base(url), ANTHROPIC_AUTH_TOKEN: key })
const anthropicSdk = ({ url, key }: Given) => ({ ANTHROPIC_BASE_URL: base(url), ANTHROPIC_API_KEY: key })
const openai = ({ url, key }: Given) => ({ OPENAI_BASE_URL: `${base(url)}/v1`, OPENAI_API_KEY: key })

export const CLIENTS: readonly Client[] = [
  {
    id: 'claude-code', name: 'Claude Code', wire: 'messages', namesModel: false, note: 'claudeCode',
    parts: (given) => [shell(anthropic(given), 'claude'), { place: 'file', file: '~/.claude/settings.json', text: json({ env: anthropic(given) }) }],
  },
  {
    id: 'codex', name: 'Codex CLI', wire: 'responses', namesModel: true, note: 'codex',
    parts: ({ url, key, model }) => [
      { place: 'file', file: '~/.codex/config.toml', text: [
        `model = ${literal(model)}`, 'model_provider = "switchyard"', '',
        '[model_providers.switchyard]', 'name = "Switchyard"', `base_url = ${literal(`${base(url)}/v1`)}`,
        'env_key = "SWITCHYARD_API_KEY"', 'wire_api = "responses"',
      ].join('\n') },
      shell({ SWITCHYARD_API_KEY: key }, 'codex'),
    ],
  },
  {
    id: 'gemini-cli', name: 'Gemini CLI', wire: 'gemini', namesModel: true, note: 'geminiCli',
    parts: ({ url, key, model }) => [
      // Without it, it asks how to sign in, and does not start where it can't ask.
      { place: 'file', file: '~/.gemini/settings.json', text: json({ security: { auth: { selectedType: 'gemini-api-key' } } }) },
      shell({ GOOGLE_GEMINI_BASE_URL: base(url), GEMINI_API_KEY: key, GEMINI_MODEL: model }, 'gemini'),
    ],
  },
  {
    id: 'openai-python', name: 'OpenAI SDK · Python', wire: 'chat', namesModel: true,
    parts: (given) => [shell(openai(given), 'pip install openai'), code([
      'from openai import OpenAI', '', 'client = OpenAI()', 'completion = client.chat.completions.create(',
      `    model=${literal(given.model)},`, `    messages=[{"role": "user", "content": ${literal(HELLO)}}],`, ')',
      'print(completion.choices[0].message.content)',
    ].join('\n'))],
  },
  {
    id: 'openai-node', name: 'OpenAI SDK · Node.js', wire: 'chat', namesModel: true,
    parts: (given) => [shell(openai(given), 'npm install openai'), code([
      'import OpenAI from "openai";', '', 'const client = new OpenAI();', 'const completion = await client.chat.completions.create({',
      `  model: ${literal(given.model)},`, `  messages: [{ role: "user", content: ${literal(HELLO)} }],`, '});',
      'console.log(completion.choices[0].message.content);',
    ].join('\n'))],
  },
  {
    id: 'anthropic-python', name: 'Anthropic SDK · Python', wire: 'messages', namesModel: true,
    parts: (given) => [shell(anthropicSdk(given), 'pip install anthropic'), code([
      'from anthropic import Anthropic', '', 'client = Anthropic()', 'message = client.messages.create(',
      `    model=${literal(given.model)},`, '    max_tokens=1024,', `    messages=[{"role": "user", "content": ${literal(HELLO)}}],`, ')',
      'print(message.content[0].text)',
    ].join('\n'))],
  },
  {
    id: 'anthropic-node', name: 'Anthropic SDK · Node.js', wire: 'messages', namesModel: true,
    parts: (given) => [shell(anthropicSdk(given), 'npm install @anthropic-ai/sdk'), code([
      'import Anthropic from "@anthropic-ai/sdk";', '', 'const client = new Anthropic();', 'const message = await client.messages.create({',
      `  model: ${literal(given.model)},`, '  max_tokens: 1024,', `  messages: [{ role: "user", content: ${literal(HELLO)} }],`, '});',
      'console.log(message.content[0].text);',
    ].join('\n'))],
  },
  {
    id: 'genai-python', name: 'Google Gen AI SDK · Python', wire: 'gemini', namesModel: true,
    parts: ({ url, key, model }) => [shell({ GEMINI_API_KEY: key }, 'pip install google-genai'), code([
      'from google import genai', 'from google.genai import types', '',
      `client = genai.Client(http_options=types.HttpOptions(base_url=${literal(base(url))}))`, 'response = client.models.generate_content(',
      `    model=${literal(model)},`, `    contents=${literal(HELLO)},`, ')', 'print(response.text)',
    ].join('\n'))],
  },
  {
    id: 'genai-node', name: 'Google Gen AI SDK · Node.js', wire: 'gemini', namesModel: true,
    parts: ({ url, key, model }) => [shell({ GEMINI_API_KEY: key }, 'npm install @google/genai'), code([
      'import { GoogleGenAI } from "@google/genai";', '', 'const client = new GoogleGenAI({', '  apiKey: process.env.GEMINI_API_KEY,',
      `  httpOptions: { baseUrl: ${literal(base(url))} },`, '});', 'const response = await client.models.generateContent({',
      `  model: ${literal(model)},`, `  contents: ${literal(HELLO)},`, '});', 'console.log(response.text);',
    ].join('\n'))],
  },
  {
    id: 'curl-chat', name: 'curl · Chat Completions', wire: 'chat', namesModel: true,
    parts: ({ url, key, model }) => [curl(`${base(url)}/v1/chat/completions`, { authorization: `Bearer ${key}` }, { model, messages })],
  },
  {
    id: 'curl-responses', name: 'curl · Responses', wire: 'responses', namesModel: true,
    parts: ({ url, key, model }) => [curl(`${base(url)}/v1/responses`, { authorization: `Bearer ${key}` }, { model, input: HELLO })],
  },
  {
    id: 'curl-messages', name: 'curl · Messages', wire: 'messages', namesModel: true,
    parts: ({ url, key, model }) => [
      curl(`${base(url)}/v1/messages`, { 'x-api-key': key, 'anthropic-version': ANTHROPIC_VERSION }, { model, max_tokens: 1024, messages }),
    ],
  },
  {
    id: 'curl-gemini', name: 'curl · Gemini', wire: 'gemini', namesModel: true,
    parts: ({ url, key, model }) => [
      curl(`${base(url)}/v1beta/models/${encodeURIComponent(model)}:generateContent`, { 'x-goog-api-key': key }, { contents: [{ role: 'user', parts: [{ text: HELLO }] }] }),
    ],
  },
]

/** The clients that nodes serve now, and those whose wire no node serves yet. */
export function clientsBy(wires: readonly string[]): { served: Client[]; unserved: Client[] } {
  const now = new Set(wires.filter(isWire))
  return { served: CLIENTS.filter(({ wire }) => now.has(wire)), unserved: CLIENTS.filter(({ wire }) => !now.has(wire)) }
}
