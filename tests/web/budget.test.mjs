import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Person, openBrowser } from './browser.mjs'
import { everyPage } from './pages.mjs'
import { ADMIN, Gateway } from './programs.mjs'

const KB = 1000
let gateway, browser, pages

before(async () => {
  gateway = await Gateway.start()
  browser = await openBrowser()
  pages = await everyPage(gateway)
})

after(async () => {
  await browser?.close()
  await gateway?.stop()
})

/** Counts the scripts of all that a page loads from nothing, as gzip sends them. */
async function scriptsOf(person, path, signedIn) {
  const loaded = new Set()
  const page = await person.tab()
  page.on('response', (response) => /\.js$/.test(new URL(response.url()).pathname) && loaded.add(response.url()))
  await page.goto(gateway.adminUrl + path)
  await page.locator(signedIn ? 'main h1' : 'input[name=username]').first().waitFor()
  await page.waitForFunction(() => !document.querySelector('.el-skeleton, [aria-busy=true]'))
  await page.waitForLoadState('networkidle')
  await page.close()
  let bytes = 0
  for (const url of loaded) bytes += await gzipped(url)
  return bytes
}

const sizes = new Map()

async function gzipped(url) {
  if (!sizes.has(url)) {
    const response = await fetch(url, { headers: { 'accept-encoding': 'gzip' } })
    const length = Number(response.headers.get('content-length'))
    assert.ok(length > 0, url)
    sizes.set(url, length)
    await response.arrayBuffer()
  }
  return sizes.get(url)
}

test('the login page has at most 180 KB of scripts, any page 450 KB', async (t) => {
  const stranger = await Person.at(browser, gateway)
  const login = await scriptsOf(stranger, '/login', false)
  t.diagnostic(`login: ${Math.round(login / KB)} KB`)
  assert.ok(login <= 180 * KB, `${login}`)
  const person = await Person.at(browser, gateway)
  await person.signIn(ADMIN)
  for (const path of pages) {
    const bytes = await scriptsOf(person, path, true)
    t.diagnostic(`${path.replace(/[0-9A-Z]{26}/, ':id')}: ${Math.round(bytes / KB)} KB`)
    assert.ok(bytes <= 450 * KB, `${path}: ${bytes}`)
  }
  await person.leave()
})

test('a page of a hundred accounts can be used within 500 ms', async (t) => {
  for (let index = 0; index < 120; index += 1) await gateway.account('claude-console', `sk-ant-${index}`, { name: `account ${String(index).padStart(3, '0')}` })
  const person = await Person.at(browser, gateway)
  await person.signIn(ADMIN)
  const took = []
  for (let round = 0; round < 5; round += 1) {
    await person.open('/accounts?limit=100')
    await person.link('Account groups').click()
    await person.settled()
    took.push(await goBackAndUse(person.page, 100))
  }
  took.sort((a, b) => a - b)
  t.diagnostic(`milliseconds: ${took.map(Math.round).join(', ')}`)
  assert.ok(took[2] <= 500, `the median of ${took}`)
  await person.leave()
})

/**
 * Milliseconds from the navigation until all rows stand and the main thread answers again: what a person feels who has
 * the page's code, and none of its data.
 */
async function goBackAndUse(page, rows) {
  return page.evaluate(async (rows) => {
    const start = performance.now()
    history.back()
    while (document.querySelectorAll('tbody tr').length < rows) await new Promise((resolve) => requestAnimationFrame(resolve))
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))
    return performance.now() - start
  }, rows)
}
