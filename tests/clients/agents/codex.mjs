/** Codex, which speaks Responses. */
import { fileURLToPath } from 'node:url'
import { finished, jsonLines } from './process.mjs'

const CLI = fileURLToPath(import.meta.resolve('@openai/codex/bin/codex.js'))
/** What it knows of this model, it is told of whichever model it is to use. */
const KNOWN_MODEL = 'gpt-5.5'
const CATALOG_LIMIT_MS = 20_000

const CONFIG = (gateway, catalog) => `
model_provider = "switchyard"
model_catalog_json = ${JSON.stringify(catalog)}
check_for_update_on_startup = false

[model_providers.switchyard]
name = "Switchyard"
base_url = ${JSON.stringify(`${gateway.url}/v1`)}
env_key = "SWITCHYARD_KEY"
wire_api = "responses"

[analytics]
enabled = false

[feedback]
enabled = false

[features]
apps = false
plugins = false
remote_plugin = false
`

export const codex = {
  /** So many tokens fill its model's window. */
  full: 252_000,

  async prepare({ place, gateway, models, variables, known = KNOWN_MODEL }) {
    const env = { ...place.variables, ...variables }
    const asked = { program: process.execPath, args: [CLI, 'debug', 'models'], env, cwd: place.work }
    const { stdout } = await finished(asked, CATALOG_LIMIT_MS)
    const entry = JSON.parse(stdout).models.find(({ slug }) => slug === known)
    // To a name with a comma the gateway's operator has given another provider's model, which searches no tools.
    const told = models.map((slug) => ({
      ...entry,
      slug,
      upgrade: null,
      supports_search_tool: entry.supports_search_tool && !slug.includes(','),
    }))
    const catalog = await place.configure('.codex/models.json', { models: told })
    await place.configure('.codex/config.toml', CONFIG(gateway, catalog))
  },

  calls: {
    read: (_, name) => ({ name: 'exec_command', arguments: { cmd: `cat ${name}` } }),
    edit: (_, name, from, to) => ({
      name: 'apply_patch',
      arguments: `*** Begin Patch\n*** Update File: ${name}\n@@\n-${from}\n+${to}\n*** End Patch\n`,
    }),
    look: (place, name) => ({ name: 'view_image', arguments: { path: place.file(name) } }),
  },

  command({ gateway, model, prompt, session }) {
    const args = [CLI, 'exec']
    if (session) args.push('resume')
    args.push('--skip-git-repo-check', '--json', '--dangerously-bypass-approvals-and-sandbox', '-m', model)
    args.push('--')
    if (session) args.push(session)
    args.push(prompt)
    return { program: process.execPath, args, env: { SWITCHYARD_KEY: gateway.key } }
  },

  read(stdout) {
    const events = jsonLines(stdout)
    const said = events.findLast((event) => event.item?.type === 'agent_message')
    return {
      text: said?.item.text,
      session: events.find((event) => event.type === 'thread.started')?.thread_id,
      failed: !events.some((event) => event.type === 'turn.completed'),
      events,
    }
  },
}
