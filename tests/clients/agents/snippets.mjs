/**
 * Sets each coding agent up as a person would who copies and pastes what README and the key page say, and asks it something.
 *
 * Reads one JSON object from standard input:
 *
 *   {
 *     "gateway": {"url", "key"},
 *     "models": {"claude", "codex", "gemini"}: what was chosen on the key page,
 *     "repository": the checkout, whose README.md and admin web are read
 *   }
 *
 * Prints a list: `{cli, source, prompt, outcome, detail}` for each agent and each way to set it up. The outcome is `works`
 * or `failed`. Its upstreams echo the prompt, which is another for each.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Outside } from './outside.mjs'
import { Place } from './place.mjs'
import { finished } from './process.mjs'

/** For one run of an agent: far more than it takes. */
const LIMIT_MS = 60_000
const LONGEST_WORDS = 800

/**
 * `name` is the command to paste, and `asks` the same with a prompt, for where there is no terminal. There Codex refuses a
 * folder without a repository, and Gemini CLI one that nobody said to trust, unless told not to.
 */
const CLIS = [
  { name: 'claude', client: 'claude-code', title: 'Claude Code', asks: 'claude -p', isEitherPart: true },
  { name: 'codex', client: 'codex', title: 'Codex', asks: 'codex exec --skip-git-repo-check' },
  { name: 'gemini', client: 'gemini-cli', title: 'Gemini CLI', asks: 'gemini --skip-trust -p' },
]

// What README has in the place of one's own.
const README_ADDRESS = 'http://127.0.0.1:8080'
const README_KEY = 'sk-…'

async function input() {
  const parts = []
  for await (const part of process.stdin) parts.push(part)
  return JSON.parse(Buffer.concat(parts).toString())
}

function found(thing, what) {
  if (!thing) throw new Error(`there is no ${what}`)
  return thing
}

// The key page

/** The clients of the key page, as it makes them; no browser and no build are needed for that. */
async function keyPageClients(repository) {
  const web = join(repository, 'admin-web')
  const typescript = createRequire(join(web, 'package.json'))('typescript')
  const module = async (path, imports = {}) => {
    const options = { module: typescript.ModuleKind.ESNext, target: typescript.ScriptTarget.ES2022 }
    const source = await readFile(join(web, 'src', path), 'utf8')
    let code = typescript.transpileModule(source, { compilerOptions: options }).outputText
    for (const [name, url] of Object.entries(imports)) code = code.replace(`'${name}'`, `'${url}'`)
    return `data:text/javascript;base64,${Buffer.from(code).toString('base64')}`
  }
  const wires = await module('wires.ts')
  return (await import(await module('pages/api-keys/snippets.ts', { '@/wires': wires }))).CLIENTS
}

/** Everything to be pasted, in its order. */
function fromParts(parts) {
  const files = parts.filter(({ place }) => place === 'file').map(({ file, text }) => ({ path: file, text }))
  const lines = parts.filter(({ place }) => place === 'shell').flatMap(({ text }) => text.split('\n'))
  return { files, lines }
}

/** Each setup that the key page has for the agent. */
function ofKeyPage(cli, clients, { gateway, models }) {
  const client = found(clients.find(({ id }) => id === cli.client), `${cli.client} on the key page`)
  const parts = client.parts({ ...gateway, model: models[cli.name] })
  if (!cli.isEitherPart) return [{ cli, source: 'key page', ...fromParts(parts) }]
  return parts.map((part) => ({ cli, source: `key page, ${part.file ?? part.place}`, ...fromParts([part]) }))
}

// README

/** The fenced blocks of "Try it", each with the prose ahead of it. */
function readmeBlocks(readme) {
  const section = found(/^## Try it\n(.*?)^## /ms.exec(readme), '"Try it" in README')[1]
  const blocks = section.matchAll(/(.*?)^```(\w+)\n(.*?)^```\n/gms)
  return [...blocks].map(([, prose, language, text]) => ({ prose, language, text }))
}

/** The setup that README has for the agent: files whose path the prose names, and the exports that name it. */
function ofReadme(cli, readme, { url, key }) {
  const blocks = readmeBlocks(readme.replaceAll(README_ADDRESS, url).replaceAll(README_KEY, key))
  const isOwn = (words) => words.includes(cli.title)
  const files = blocks
    .filter(({ prose, language }) => language !== 'sh' && isOwn(prose))
    .map(({ prose, text }) => ({ path: /`(~\/[^`]+)`/.exec(prose)?.[1], text }))
  const pasted = blocks.filter(({ language }) => language === 'sh').flatMap(({ text }) => text.split('\n'))
  const commented = pasted.filter((line) => line.startsWith('export ') && isOwn(line.split('#').at(-1)))
  const said = blocks.filter(({ prose }) => isOwn(prose)).flatMap(({ prose }) => prose.match(/(?<=`)export [^`]+/g) ?? [])
  return { cli, source: 'README', files, lines: [...commented, ...said, cli.name] }
}

// What a person does with it

/** A folder with the commands, as an installation makes it. */
async function commands(place) {
  // Its own command is only there where its install script was allowed to run.
  const wrapper = fileURLToPath(import.meta.resolve('@anthropic-ai/claude-code/cli-wrapper.cjs'))
  const folder = join(place.root, 'bin')
  await mkdir(folder)
  await writeFile(join(folder, 'claude'), `#!/bin/sh\nexec node '${wrapper}' "$@"\n`, { mode: 0o755 })
  return [folder, join(dirname(fileURLToPath(import.meta.url)), 'node_modules', '.bin')]
}

/** The lines to paste, but that the last, which starts the agent, asks it something. */
function asking({ cli, lines }, prompt) {
  const start = lines.at(-1) ?? cli.name
  if (start !== cli.name) throw new Error(`the last line is not ${cli.name} but ${start}`)
  return [...lines.slice(0, -1), `${cli.asks} '${prompt}'`].join('\n')
}

async function paste({ files }, place) {
  for (const { path, text } of files) {
    if (!path?.startsWith('~/')) throw new Error(`a file goes to ${path}, which is not in the home`)
    await place.configure(path.slice(2), text)
  }
}

async function ask(setup, prompt, place, variables) {
  await paste(setup, place)
  const path = [...(await commands(place)), place.variables.PATH].join(delimiter)
  const env = { ...place.variables, ...variables, PATH: path }
  const run = await finished({ program: 'bash', args: ['-c', asking(setup, prompt)], env, cwd: place.work }, LIMIT_MS)
  const said = `${run.stdout.slice(-LONGEST_WORDS)}\n${run.stderr.slice(-LONGEST_WORDS)}`
  if (run.late) throw new Error(`it has not ended after ${LIMIT_MS} ms: ${said}`)
  if (run.exit !== 0) throw new Error(`it ended with ${run.exit}: ${said}`)
  if (!run.stdout.includes(prompt)) throw new Error(`its answer is not there: ${said}`)
}

async function tried(setup, prompt, variables) {
  const place = await Place.make({})
  const result = { cli: setup.cli.name, source: setup.source, prompt }
  try {
    await ask(setup, prompt, place, variables)
    return { ...result, outcome: 'works', detail: '' }
  } catch (error) {
    return { ...result, outcome: 'failed', detail: error.message }
  } finally {
    await place.remove()
  }
}

const spec = await input()
const clients = await keyPageClients(spec.repository)
const readme = await readFile(join(spec.repository, 'README.md'), 'utf8')
const setups = CLIS.flatMap((cli) => [...ofKeyPage(cli, clients, spec), ofReadme(cli, readme, spec.gateway)])
const outside = await new Outside().open()
const results = []
for (const [at, setup] of setups.entries()) {
  results.push(await tried(setup, `Say the word lighthouse and the number ${at + 1}.`, outside.variables))
}
outside.close()
process.stdout.write(`${JSON.stringify(results)}\n`)
