/** The formats that clients speak, and the models that go with each. */
import type { GatewayModel } from '@/api/gateway'

export const WIRES = ['chat', 'responses', 'messages', 'gemini'] as const
export type Wire = (typeof WIRES)[number]

/** Whose models a wire is native to. */
export const PLATFORM_OF: Record<Wire, string> = { chat: 'openai', responses: 'openai', messages: 'claude', gemini: 'gemini' }

export function isWire(text: string): text is Wire {
  return (WIRES as readonly string[]).includes(text)
}

/** A line of each platform's models that answers in text and costs little; what an example begins with. */
const EXAMPLES: Record<string, { line: RegExp; otherwise: string }> = {
  claude: { line: /^claude-sonnet-\d/, otherwise: 'claude-sonnet-4-5' },
  openai: { line: /^gpt-\d/, otherwise: 'gpt-5' },
  gemini: { line: /^gemini-.*flash$/, otherwise: 'gemini-2.5-flash' },
}

/** The newest of that line as far as names tell; without any, a name that everyone knows. */
export function exampleModel(models: readonly GatewayModel[], platform: string): string {
  const { line, otherwise } = EXAMPLES[platform] ?? { line: /^/, otherwise: 'gpt-5' }
  const ofLine = models.filter((model) => model.platform === platform && line.test(model.name)).map(({ name }) => name)
  return ofLine.sort(byNumbers).at(-1) ?? otherwise
}

/** Those that answer in text: the platform's first, its usual line before the rest, the newest first as far as names tell. */
export function modelsFor(models: readonly GatewayModel[], platform: string): GatewayModel[] {
  const line = EXAMPLES[platform]?.line
  const rank = (model: GatewayModel) => (model.platform !== platform ? 2 : line?.test(model.name) ? 0 : 1)
  return models
    .filter(({ name }) => !name.includes('embedding'))
    .sort((a, b) => rank(a) - rank(b) || a.platform.localeCompare(b.platform) || byNumbers(b.name, a.name))
}

function byNumbers(a: string, b: string) {
  return a.localeCompare(b, 'en', { numeric: true })
}
