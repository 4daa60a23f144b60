/** Claude Code, which speaks Messages. */
import { fileURLToPath } from 'node:url'
import { jsonLines } from './process.mjs'

// Finds the program of this platform also where no install script has put it in its place.
const CLI = fileURLToPath(import.meta.resolve('@anthropic-ai/claude-code/cli-wrapper.cjs'))

/** It counts the models of a gateway among what isn't essential. */
const DISCOVERING = {
  CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY: '1',
  DISABLE_AUTOUPDATER: '1',
  DISABLE_ERROR_REPORTING: '1',
  DISABLE_TELEMETRY: '1',
}

export const claude = {
  /** So many tokens fill its model's window. */
  full: 975_000,

  async prepare() {},

  calls: {
    read: (place, name) => ({ name: 'Read', arguments: { file_path: place.file(name) } }),
    edit: (place, name, from, to) => ({
      name: 'Edit',
      arguments: { file_path: place.file(name), old_string: from, new_string: to },
    }),
    look: (place, name) => ({ name: 'Read', arguments: { file_path: place.file(name) } }),
    delegate: (prompt) => ({
      name: 'Agent',
      arguments: { description: 'Look into it', prompt, subagent_type: 'general-purpose', run_in_background: false },
    }),
  },

  command({ gateway, model, prompt, session, discovers }) {
    const args = [CLI, '-p', prompt, '--output-format', 'stream-json', '--verbose', '--model', model]
    args.push('--permission-mode', 'acceptEdits', '--strict-mcp-config')
    if (session) args.push('--resume', session)
    const env = {
      ANTHROPIC_BASE_URL: gateway.url,
      ANTHROPIC_AUTH_TOKEN: gateway.key,
      // Whatever it would ask a small model.
      ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
      ...(discovers ? DISCOVERING : { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' }),
    }
    return { program: process.execPath, args, env }
  },

  read(stdout) {
    const events = jsonLines(stdout)
    const result = events.findLast((event) => event.type === 'result')
    return { text: result?.result, session: result?.session_id, failed: result?.is_error ?? true, events }
  },
}
