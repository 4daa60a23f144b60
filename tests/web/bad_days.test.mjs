import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { Person, openBrowser } from './browser.mjs'
import { ADMIN, Gateway, PATIENCE_MS } from './programs.mjs'

let gateway, browser, admin, page, account

before(async () => {
  gateway = await Gateway.start()
  browser = await openBrowser()
  account = await gateway.account('claude-console', 'sk-ant-bad-days', { name: 'shared by two' })
})

after(async () => {
  await browser?.close()
  await gateway?.stop()
})

beforeEach(async () => {
  admin = await Person.at(browser, gateway)
  page = admin.page
  await admin.signIn(ADMIN)
})

afterEach(() => admin.leave())

test('a login that ends in mid-form loses nothing that was typed', async () => {
  admin.expects.push('401')
  await admin.open(`/accounts/${account.id}`)
  await admin.field('Description').fill('typed before the login ended')
  const { sessions } = await gateway.admin.get('/api/profile/sessions')
  const ofBrowser = sessions.filter(({ agent, current }) => !current && agent?.includes('Chrome'))
  assert.ok(ofBrowser.length > 0)
  for (const { id } of ofBrowser) await gateway.admin.send('DELETE', `/api/profile/sessions/${id}`)
  await admin.button('Save').click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('Please sign in again').waitFor()
  await dialog.locator('input[name=password]').fill(ADMIN.password)
  await page.keyboard.press('Enter')
  await page.getByText('Saved.').waitFor()
  const stored = await gateway.admin.get(`/api/admin/accounts/${account.id}`)
  assert.equal(stored.description, 'typed before the login ended')
})

test('a server that is away shows a banner, and the page goes on without a reload', async () => {
  admin.expects.push('ERR_CONNECTION', 'ERR_EMPTY_RESPONSE', 'ERR_SOCKET', 'ERR_INCOMPLETE', '503', '502')
  await admin.open(`/accounts/${account.id}`)
  await admin.field('Description').fill('typed while the server was away')
  await page.evaluate(() => (window.isTheSamePage = true))
  await gateway.kill()
  await admin.button('Save').click()
  const banner = page.getByText('This page goes on by itself')
  await banner.waitFor()
  await gateway.restart()
  await banner.waitFor({ state: 'detached', timeout: PATIENCE_MS })
  await admin.button('Save').click()
  await page.getByText('Saved.').waitFor()
  assert.ok(await page.evaluate(() => window.isTheSamePage))
  const stored = await gateway.admin.get(`/api/admin/accounts/${account.id}`)
  assert.equal(stored.description, 'typed while the server was away')
})

test('a list and a page that are asked for while the server is away come once it is back', async () => {
  admin.expects.push('ERR_CONNECTION', 'ERR_EMPTY_RESPONSE', 'ERR_SOCKET', 'ERR_INCOMPLETE', 'Failed to fetch dynamically imported module')
  await admin.open('/accounts')
  await gateway.kill()
  await page.getByLabel('Search by name').fill('shared')
  await page.getByRole('main').getByRole('alert').getByText('Nothing was lost').waitFor()
  await gateway.restart()
  await admin.link('shared by two').waitFor()
  await page.getByText('This page goes on by itself').waitFor({ state: 'detached' })
  await gateway.kill()
  await admin.link('Nodes').click()
  await page.getByText('This page goes on by itself').waitFor()
  await gateway.restart()
  await page.getByRole('heading', { name: 'Nodes' }).waitFor()
})

test('two admins who change one account overwrite nobody', async () => {
  admin.expects.push('412')
  await admin.open(`/accounts/${account.id}`)
  await admin.field('Description').fill('mine')
  await admin.field('Priority').fill('7')
  await gateway.admin.change(`/api/admin/accounts/${account.id}`, { description: 'theirs', weight: 33 })
  await admin.button('Save').click()
  const told = page.getByRole('alert').filter({ hasText: 'Someone else changed this meanwhile' })
  await told.getByText('theirs').waitFor()
  const meanwhile = await gateway.admin.get(`/api/admin/accounts/${account.id}`)
  assert.deepEqual([meanwhile.description, meanwhile.weight, meanwhile.priority], ['theirs', 33, 50])
  await admin.button('Save').click()
  await page.getByText('Saved.').waitFor()
  const stored = await gateway.admin.get(`/api/admin/accounts/${account.id}`)
  assert.deepEqual([stored.description, stored.weight, stored.priority], ['mine', 33, 7])
})

test('a name with markup in it is a name', async () => {
  const name = '<img src=x onerror="window.ran=1"><script>window.ran=1</script><b>bold</b>'
  await gateway.account('claude-console', 'sk-ant-markup', { name, description: name })
  await gateway.admin.post('/api/admin/account-groups', { name, description: name })
  await gateway.admin.post('/api/api-keys', { name })
  for (const path of ['/accounts', '/account-groups', '/api-keys']) {
    await admin.open(path)
    await admin.link(name).click()
    await admin.settled()
    assert.equal(await admin.field('Name').inputValue(), name)
    assert.equal(await page.evaluate(() => window.ran), undefined)
  }
})

test('a list of ten thousand rows is paged and searched at the server', async () => {
  // A page that asks for nothing by itself, while the server is away.
  await admin.open('/settings')
  await gateway.kill()
  fillMappings(gateway.folder)
  await gateway.restart()
  await admin.open('/model-mappings?limit=100')
  assert.equal(await page.locator('tbody tr').count(), 100)
  await admin.button('Next').click()
  await admin.link('many-00150').waitFor()
  await admin.button('Previous').click()
  await admin.link('many-00000').waitFor()
  await page.getByLabel('Search by name').fill('MANY-0987')
  await admin.link('many-09876').waitFor()
  assert.equal(await page.locator('tbody tr').count(), 10)
  await page.getByLabel('Search by name').fill('none of them')
  await page.getByText('Nothing matches these filters').waitFor()
  await admin.button('Clear the filters').click()
  await admin.link('many-00000').waitFor()
})

/** Ten thousand rows at once: over the API they take minutes. */
function fillMappings(folder) {
  execFileSync('python3', ['-c', `
import sqlite3, sys
rows = ((index.to_bytes(16, 'big'), 'many-%05d' % index) for index in range(10_000))
with sqlite3.connect(sys.argv[1]) as database:
    database.executemany("INSERT INTO model_mappings (id, from_model, to_model, enabled, description, created_at, updated_at, revision) VALUES (?, ?, 'claude-sonnet-5', 1, '', 0, 0, 1)", rows)
`, join(folder, 'data/switchyard.db')])
}
