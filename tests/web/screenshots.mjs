/**
 * Pictures of every page in both languages, both themes and two widths, to be looked at:
 * `node screenshots.mjs FOLDER`, after the programs are built.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Person, openBrowser } from './browser.mjs'
import { everyPage } from './pages.mjs'
import { ADMIN, Gateway, eventually } from './programs.mjs'

const [folder = 'screenshots'] = process.argv.slice(2)
await mkdir(folder, { recursive: true })
const gateway = await Gateway.start()
const browser = await openBrowser()
const pages = ['/login', ...(await everyPage(gateway))]
await traffic()
for (const width of [1280, 375]) {
  for (const language of ['en', 'zh-CN']) {
    for (const theme of ['light', 'dark']) await pictures({ width, language, theme })
  }
}
await browser.close()
await gateway.stop()

async function pictures(looks) {
  const person = await Person.at(browser, gateway, looks)
  for (const path of pages) {
    if (path === '/login') {
      await person.page.goto(gateway.adminUrl + path)
      await person.page.locator('input[name=username]').waitFor()
    } else {
      await person.open(path)
    }
    const name = path.slice(1).replace(/\//g, '-').replace(/[0-9A-Z]{26}/, 'one') || 'dashboard'
    await person.page.screenshot({ path: join(folder, `${name}.${looks.language}.${looks.theme}.${looks.width}.png`), fullPage: looks.width < 500 })
    if (path === '/login') await person.signIn(ADMIN)
  }
  await person.leave()
}

/** A little of everything: models, streams, failures and what switched after them. */
async function traffic() {
  await gateway.account('claude-console', 'sk-ant-research', { name: 'Claude · research', priority: 10, concurrency: 20 })
  await gateway.account('claude-console', 'sk-ant-spare', { name: 'Claude · spare', priority: 60, enabled: false })
  const { key } = await gateway.admin.post('/api/api-keys', { name: 'laptop' })
  const url = `http://${gateway.address}`
  await eventually('the key to be known', async () => (await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).ok)
  for (let index = 0; index < 40; index += 1) {
    if (index % 9 === 4) await gateway.script('sk-ant-research', [{ fault: { status: { status: 529 } } }])
    const body = { model: ['claude-sonnet-5', 'fast', 'gpt-4o'][index % 3], max_tokens: 400, stream: index % 2 === 0, messages: [{ role: 'user', content: 'hello '.repeat(20 * index + 1) }] }
    const path = index % 3 === 2 ? '/v1/chat/completions' : '/v1/messages'
    const headers = { authorization: `Bearer ${key}`, 'anthropic-version': '2023-06-01', 'content-type': 'application/json' }
    await (await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })).text()
  }
  const count = async () => (await gateway.admin.get('/api/admin/usage/records?limit=200')).records.filter(({ outcome }) => outcome !== 'open').length
  await eventually('the records to be in the ledger', async () => (await count()) >= 40)
}
