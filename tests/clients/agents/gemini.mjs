/** Gemini CLI, which speaks Gemini. */
import { fileURLToPath } from 'node:url'
import { jsonLines } from './process.mjs'

const CLI = fileURLToPath(new URL('node_modules/@google/gemini-cli/bundle/gemini.js', import.meta.url))

const SETTINGS = {
  security: { auth: { selectedType: 'gemini-api-key' } },
  general: { enableAutoUpdate: false, enableAutoUpdateNotification: false },
  privacy: { usageStatisticsEnabled: false },
  telemetry: { enabled: false },
}

export const gemini = {
  /** So many tokens fill its model's window. */
  full: 800_000,

  async prepare({ place }) {
    await place.configure('.gemini/settings.json', SETTINGS)
  },

  calls: {
    read: (place, name) => ({ name: 'read_file', arguments: { file_path: place.file(name) } }),
    edit: (place, name, from, to) => ({
      name: 'replace',
      arguments: { file_path: place.file(name), instruction: 'As planned.', old_string: from, new_string: to },
    }),
  },

  command({ gateway, model, prompt, session }) {
    const args = [CLI, '-p', prompt, '--output-format', 'stream-json', '--model', model, '--approval-mode', 'yolo']
    if (session) args.push('--resume', 'latest')
    const env = {
      GOOGLE_GEMINI_BASE_URL: gateway.url,
      GEMINI_API_KEY: gateway.key,
      GEMINI_CLI_TRUST_WORKSPACE: 'true',
    }
    return { program: process.execPath, args, env }
  },

  read(stdout) {
    const events = jsonLines(stdout)
    const lastCall = events.findLastIndex((event) => event.type === 'tool_result')
    const said = events.slice(lastCall + 1).filter((event) => event.role === 'assistant')
    return {
      text: said.map((event) => event.content).join(''),
      session: events.find((event) => event.type === 'init')?.session_id,
      failed: events.findLast((event) => event.type === 'result')?.status !== 'success',
      events,
    }
  },
}
