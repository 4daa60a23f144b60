import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Person, openBrowser } from './browser.mjs'
import { refuse } from './pages.mjs'
import { Api, Gateway } from './programs.mjs'

const ADA = { name: 'ada', password: 'a-password-of-ada' }
let gateway, browser, ada, page, foreignRecord

before(async () => {
  gateway = await Gateway.start()
  browser = await openBrowser()
  await gateway.account('claude-console', 'sk-ant-shared', { name: 'a shared account' })
  await gateway.admin.post('/api/admin/users', { ...ADA, role: 'user' })
  await gateway.admin.post('/api/api-keys', { name: 'a key of the admin' })
  const streamed = await fetch(`${gateway.adminUrl}/api/proxy-test/messages`, {
    method: 'POST',
    headers: gateway.admin.headers(),
    body: JSON.stringify({ model: 'claude-sonnet-5', max_tokens: 64, messages: [{ role: 'user', content: 'of the admin' }] }),
  })
  assert.equal(streamed.status, 200, await streamed.text())
  foreignRecord = streamed.headers.get('x-request-id')
  ada = await Person.at(browser, gateway)
  page = ada.page
  await ada.signIn(ADA)
})

after(async () => {
  await browser?.close()
  await gateway?.stop()
})

test('finds only their own pages', async () => {
  await ada.settled()
  const titles = await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allInnerTexts()
  assert.deepEqual(titles.map((title) => title.trim()), ['Switchyard', 'Dashboard', 'API keys', 'Usage records', 'Proxy test', 'Profile'])
  for (const path of ['/accounts', '/users', '/nodes', '/nodes/rejected', '/settings', '/account-groups', '/model-routes']) {
    await page.goto(gateway.adminUrl + path)
    await page.waitForURL((url) => url.pathname === '/')
  }
})

test('sees no key and no request of others', async () => {
  await ada.open('/api-keys')
  await page.getByText('You have no API keys yet').waitFor()
  await ada.open('/usage')
  assert.equal(await page.getByText('claude-sonnet-5').count(), 0)
  await ada.open(`/usage/${foreignRecord}`)
  assert.equal(await page.getByText('a shared account').count(), 0)
  assert.equal(await page.getByText('claude-sonnet-5').count(), 0)
})

test('sees no refused request of others', async () => {
  const { key } = await gateway.admin.post('/api/api-keys', { name: 'refused of the admin' })
  const refused = await refuse(gateway, key)
  await ada.open('/')
  assert.equal(await page.getByText('Refused by the gateway today').count(), 0)
  await ada.open('/usage/refusals')
  await page.getByText('No request was refused').waitFor()
  await ada.open(`/usage/${refused}`)
  await page.getByText('There is no such request').waitFor()
})

test('makes a key of their own, and disables and deletes it', async () => {
  await ada.open('/api-keys/new')
  await ada.field('Name').fill('mine')
  await ada.button('Create').click()
  await ada.button('I have kept it').click()
  await ada.open('/api-keys')
  const row = page.getByRole('row', { name: /mine/ })
  await row.getByRole('button', { name: /^Disable/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click()
  await row.getByText('Disabled').waitFor()
  await row.getByRole('button', { name: /^Delete/ }).click()
  await page.getByRole('dialog').getByText('cannot be brought back').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('You have no API keys yet').waitFor()
})

test('tries a model with their own rights, and sees what it cost and what was reserved, but not at which account', async () => {
  await ada.tryModel({ wire: 'Messages', model: 'claude-sonnet-5', prompt: 'hello of ada' })
  await ada.link('Open the record').click()
  await page.waitForURL(/\/usage\//)
  await ada.settled()
  await page.getByRole('table', { name: 'Reserved' }).waitFor()
  for (const hidden of ['a shared account', 'Account groups', 'Price rate', 'Cost at list price']) assert.equal(await page.getByText(hidden).count(), 0, hidden)
  await ada.open('/usage')
  await page.getByRole('combobox', { name: 'Any outcome' }).waitFor()
  assert.equal(await page.getByRole('combobox', { name: 'Any purpose' }).count(), 0)
})

test('sees their logins, and ends another', async () => {
  const elsewhere = await Api.signIn(gateway.adminUrl, ADA)
  await ada.open('/profile')
  const logins = page.getByRole('region', { name: 'Your logins' }).locator('tbody tr')
  assert.equal(await logins.count(), 2)
  await logins.filter({ hasText: 'This login' }).getByText('Chrome').waitFor()
  await logins.filter({ hasNotText: 'This login' }).getByRole('button', { name: /^Sign out/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click()
  await page.getByText('That login has ended').waitFor()
  await page.waitForFunction(() => document.querySelectorAll('[aria-label="Your logins"] tbody tr').length === 1)
  const after = await fetch(`${gateway.adminUrl}/api/profile`, { headers: elsewhere.headers() })
  assert.equal(after.status, 401)
})

test('changes language and password in the profile', async () => {
  await ada.open('/profile')
  await ada.field('Current password').fill(ADA.password)
  await ada.field('New password').fill('another-password-of-ada')
  await ada.field('New password again').fill('another-password-of-ada')
  await ada.button('Change the password').click()
  await page.getByText('Your password is changed').waitFor()
  await Api.signIn(gateway.adminUrl, { name: ADA.name, password: 'another-password-of-ada' })
  // Whoever changed it stays signed in.
  await ada.open('/usage')
})

test('signs out everywhere', async () => {
  await ada.open('/profile')
  await ada.button('Sign out everywhere').click()
  await page.getByRole('dialog').getByText('this one too').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out everywhere' }).click()
  await page.waitForURL(/\/login/)
  // The page is left at once; a reload before the server's answer would ask it for a login that has just ended.
  await page.waitForFunction(() => localStorage.getItem('switchyard.login') === null)
  await page.reload()
  await page.locator('input[name=username]').waitFor()
  await ada.leave()
})
