/** Where an agent lives while it is tried: a home and a workspace of its own, thrown away afterwards. */
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class Place {
  /** With these files in the workspace. */
  static async make(files) {
    const root = await realpath(await mkdtemp(join(tmpdir(), 'switchyard-agent-')))
    const place = new Place(root)
    for (const folder of ['home', 'work', 'tmp']) await mkdir(join(root, folder))
    for (const [name, content] of Object.entries(files)) await place.write(name, content)
    return place
  }

  constructor(root) {
    this.root = root
    this.home = join(root, 'home')
    this.work = join(root, 'work')
  }

  /** What every agent's environment has. */
  get variables() {
    return { PATH: process.env.PATH, HOME: this.home, TMPDIR: join(this.root, 'tmp'), LANG: 'C.UTF-8', TERM: 'dumb' }
  }

  file(name) {
    return join(this.work, name)
  }

  async read(name) {
    return readFile(this.file(name), 'utf8').catch(() => undefined)
  }

  async write(name, content) {
    await writeFile(this.file(name), content)
  }

  /** Puts a file into the home. */
  async configure(path, content) {
    const file = join(this.home, path)
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
    return file
  }

  /** What the agent keeps in its home. */
  async kept(path) {
    return readFile(join(this.home, path), 'utf8')
  }

  async remove() {
    await rm(this.root, { recursive: true, force: true, maxRetries: 3 })
  }
}
