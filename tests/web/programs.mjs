/** The project's programs as a browser test needs them: standalone with an emulated provider, on free ports. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** Where `tests/tests/web.rs` says; by hand, what was built last. */
const PROGRAMS = process.env.SWITCHYARD_TEST_PROGRAMS ?? fileURLToPath(new URL('../../target/debug', import.meta.url))
export const ADMIN = { name: 'admin', password: 'correct-horse-battery-staple' }
/** Generous: machines are noisy. */
export const PATIENCE_MS = 30_000

/** Polls until the condition gives something. */
export async function eventually(what, condition) {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function run(name, args, variables) {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...variables }
  return spawn(join(PROGRAMS, name), args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
}

async function firstLine(stream, matches) {
  for await (const line of createInterface({ input: stream })) {
    const found = matches(line)
    if (found) {
      stream.resume()
      return found
    }
  }
  throw new Error('the program ended before it said so')
}

/** Standalone and its emulator. `admin` speaks to the REST API for what a test has to find ready. */
export class Gateway {
  static async start(variables = {}) {
    const gateway = new Gateway()
    gateway.variables = variables
    gateway.folder = await mkdtemp(join(tmpdir(), 'switchyard-web-'))
    gateway.emulator = run('switchyard-emulator', ['--until-stdin-closes'], {})
    gateway.emulatorUrl = await firstLine(gateway.emulator.stdout, (line) => JSON.parse(line).base_url)
    await gateway.serve('127.0.0.1:0', '127.0.0.1:0')
    gateway.admin = await Api.signIn(gateway.adminUrl, ADMIN)
    return gateway
  }

  async serve(listen, adminListen) {
    const args = ['serve', '--data-dir', join(this.folder, 'data'), '--listen', listen, '--admin-listen', adminListen]
    this.program = run('switchyard', args, {
      SWITCHYARD_ADMIN_PASSWORD: ADMIN.password,
      SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS: 'true',
      SWITCHYARD_RETRY_DELAY: '20ms',
      SWITCHYARD_LOG_FORMAT: 'json',
      ...this.variables,
    })
    const addresses = {}
    await firstLine(this.program.stderr, (line) => {
      const said = line.startsWith('{') ? JSON.parse(line) : {}
      if (said.message === 'listening') addresses[said.whom] = said.address
      return addresses.admin && addresses.clients
    })
    this.address = addresses.clients
    this.adminAddress = addresses.admin
    this.adminUrl = `http://${addresses.admin}`
    this.program.stdout.resume()
  }

  /** As a power cut would. */
  async kill() {
    const ended = once(this.program, 'exit')
    this.program.kill('SIGKILL')
    await ended
  }

  /** On the same addresses, with the same data. */
  async restart() {
    await this.serve(this.address, this.adminAddress)
  }

  /** An account at the emulator. */
  account(type, credential, more = {}) {
    return this.admin.post('/api/admin/accounts', {
      name: `${type} ${credential}`, type, base_url: this.emulatorUrl, credentials: { api_key: credential }, ...more,
    })
  }

  async script(credential, behaviours) {
    const path = `/_emulator/credentials/${encodeURIComponent(credential)}/next`
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(this.emulatorUrl + path, { method: 'POST', headers, body: JSON.stringify(behaviours) })
    if (!response.ok) throw new Error(await response.text())
  }

  async stop() {
    this.emulator.stdin.end()
    this.program.kill('SIGKILL')
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** The REST API as one person. */
export class Api {
  static async signIn(url, { name, password }) {
    const api = new Api()
    api.url = url
    api.token = (await api.post('/api/auth/login', { username: name, password })).access_token
    return api
  }

  get(path) {
    return this.send('GET', path)
  }

  post(path, body) {
    return this.send('POST', path, body)
  }

  /** As a second admin would: reads, then writes with what was read. */
  async change(path, body) {
    const read = await fetch(this.url + path, { headers: this.headers() })
    return this.send('PUT', path, body, { 'if-match': read.headers.get('etag') })
  }

  async send(method, path, body, more = {}) {
    const response = await fetch(this.url + path, { method, headers: { ...this.headers(), ...more }, body: body && JSON.stringify(body) })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response.status === 204 ? undefined : response.json()
  }

  headers() {
    return { 'content-type': 'application/json', ...(this.token && { authorization: `Bearer ${this.token}` }) }
  }
}
