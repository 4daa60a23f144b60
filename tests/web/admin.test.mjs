import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ACCOUNTS, addAccount } from './accounts.mjs'
import { Person, openBrowser } from './browser.mjs'
import { REJECTIONS, converse, refuse, rejectRecords } from './pages.mjs'
import { ADMIN, Gateway, eventually } from './programs.mjs'

/** One admin's day, in order: each step finds what the one before it left. */
let gateway, browser, admin, page

before(async () => {
  gateway = await Gateway.start()
  browser = await openBrowser()
  admin = await Person.at(browser, gateway)
  page = admin.page
})

after(async () => {
  await browser?.close()
  await gateway?.stop()
})

test('signs in, and is told when the password is wrong', async () => {
  admin.expects.push('401')
  await page.goto(`${gateway.adminUrl}/accounts`)
  await page.waitForURL(/\/login\?then=/)
  await page.locator('input[name=username]').fill(ADMIN.name)
  await page.locator('input[name=password]').fill('wrong')
  await admin.button('Sign in').click()
  await page.getByRole('alert').getByText('invalid_credentials').waitFor()
  await page.locator('input[name=password]').fill(ADMIN.password)
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/accounts$/)
  await page.getByText('There are no accounts yet').waitFor()
})

test('adds an account of each type', async () => {
  for (const account of ACCOUNTS) await addAccount(admin, gateway, account, `${account.type} of the test`)
  const { accounts } = await gateway.admin.get('/api/admin/accounts?limit=50')
  assert.deepEqual(accounts.map(({ type }) => type).sort(), ACCOUNTS.map(({ type }) => type).sort())
  await admin.open('/accounts')
  await page.getByRole('link', { name: 'bedrock of the test' }).waitFor()
})

test('is told at the field what the server does not take', async () => {
  admin.expects.push('422')
  await admin.open('/accounts/new/openai')
  await admin.field('Name').fill('without a key')
  await admin.field('Base URL').fill('ftp://nowhere')
  const wrong = (label) => page.locator('.el-form-item.is-error').filter({ has: admin.field(label) })
  await admin.button('Create').click()
  await wrong('API key').getByText('Please fill this in.').waitFor()
  await admin.field('API key').fill('sk-nowhere')
  await admin.button('Create').click()
  await wrong('Base URL').getByText('must begin with https:// or http://').waitFor()
  // Nothing is asked for a second time.
  assert.equal(await admin.field('Name').inputValue(), 'without a key')
  await page.getByRole('link', { name: 'Dashboard' }).click()
  await admin.button('Leave').click()
  await page.waitForURL((url) => url.pathname === '/')
})

test('groups accounts', async () => {
  await admin.open('/account-groups')
  await admin.link('New account group').first().click()
  await admin.settled()
  await admin.field('Name').fill('claude accounts')
  await page.getByRole('combobox', { name: 'Accounts' }).fill('console')
  await page.getByRole('option', { name: 'claude-console of the test' }).click()
  // The first takes the typed text away, the second closes the list.
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await admin.button('Create').click()
  await page.waitForURL(/\/account-groups$/)
  const { account_groups: [group] } = await gateway.admin.get('/api/admin/account-groups')
  assert.equal(group.account_ids.length, 1)
  await page.getByRole('row', { name: /claude accounts/ }).getByRole('link', { name: '1' }).click()
  await page.waitForURL(/\/accounts\?group=/)
  await page.getByRole('link', { name: 'claude-console of the test' }).waitFor()
  assert.equal(await page.getByRole('link', { name: 'droid of the test' }).count(), 0)
})

test('tests an account through a node', async () => {
  await admin.open('/accounts?search=claude-console')
  await admin.link('claude-console of the test').click()
  await admin.settled()
  await admin.button('Test it').click()
  await page.getByText('It works').waitFor()
})

test('tells tests of accounts from the requests of clients', async () => {
  // A node gathers its records for a moment.
  await eventually('the test to be in the ledger', async () => {
    const { records } = await gateway.admin.get('/api/admin/usage/records?purpose=account_test')
    return records.length > 0
  })
  await admin.open('/usage')
  const rows = page.getByRole('region', { name: 'Usage records' }).getByRole('row')
  const marked = rows.filter({ hasText: 'Account test' })
  await marked.first().waitFor()
  await admin.choose('Any purpose', 'Client requests')
  await page.waitForURL(/purpose=client$/)
  await page.getByText('Nothing matches these filters').waitFor()
  await admin.choose('Any purpose', 'Account tests')
  await page.waitForURL(/purpose=account_test$/)
  await marked.first().waitFor()
  assert.equal(await marked.count(), (await rows.count()) - 1, 'all but the row of titles')
  await marked.first().getByRole('link').click()
  await page.waitForURL(/\/usage\/[0-9A-Z]{26}$/)
  await admin.settled()
  const main = page.getByRole('main')
  await main.getByText('Account test', { exact: true }).waitFor()
  assert.equal(await main.getByText('Deleted').count(), 0, 'nobody is gone')
})

test('makes a key, sees it once, and has settings to paste', async () => {
  await admin.open('/api-keys/new')
  await admin.field('Name').fill('laptop')
  await admin.button('Create').click()
  const shown = page.getByLabel('API key', { exact: true })
  await shown.waitFor()
  const key = (await shown.innerText()).trim()
  assert.match(key, /^sk-[0-9a-f]{64}$/)
  await page.getByText(`http://${gateway.address}`).first().waitFor()
  const answer = await fetch(`http://${gateway.address}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
  assert.equal(answer.status, 200)
  await admin.button('I have kept it').click()
  await admin.open('/api-keys')
  await admin.link('laptop').click()
  await admin.settled()
  assert.equal(await page.getByText(key).count(), 0)
})

const WIRES = {
  chat: { title: 'Chat Completions', model: 'openai,gpt-4o' },
  gemini: { title: 'Gemini', model: 'gemini-api,gemini-2.5-flash' },
  messages: { title: 'Messages', model: 'claude-console,claude-sonnet-5' },
  responses: { title: 'Responses', model: 'openai-responses,gpt-5' },
}

test('streams through the test page in each wire that is served, and finds the request with its cost and its way', async () => {
  const { wires } = await gateway.admin.get('/api/gateway')
  assert.deepEqual([...wires].sort(), Object.keys(WIRES), 'this test knows all wires')
  for (const { title, model } of Object.values(WIRES)) {
    const prompt = `hello over ${title}`
    await admin.tryModel({ wire: title, model, prompt })
    await page.getByText('200 OK').waitFor()
    await admin.link('Open the record').click()
    await page.waitForURL(/\/usage\/[0-9A-Z]{26}$/)
    await admin.settled()
    const main = page.getByRole('main')
    await main.getByText(model).first().waitFor()
    await main.getByText(/ of the test$/).first().waitFor()
    await main.getByText(/\$0\.0/).first().waitFor()
  }
})

test('sees on a request which accounts were tried and why', async () => {
  await gateway.account('claude-console', 'sk-ant-falls-over', { name: 'falls over', priority: 1 })
  await gateway.script('sk-ant-falls-over', [{ fault: { status: { status: 529 } } }])
  // Last, so that a data plane that knows the key knows the account.
  const made = await gateway.admin.post('/api/api-keys', { name: 'scripted' })
  const body = JSON.stringify({ model: 'claude-sonnet-5', max_tokens: 64, messages: [{ role: 'user', content: 'hello' }] })
  const headers = { 'x-api-key': made.key, 'anthropic-version': '2023-06-01', 'content-type': 'application/json' }
  const request = await eventually('the key to be known', async () => {
    const answer = await fetch(`http://${gateway.address}/v1/messages`, { method: 'POST', headers, body })
    return answer.ok && answer.headers.get('x-request-id')
  })
  await admin.open(`/usage/${request}`)
  const main = page.getByRole('main')
  await main.getByText('falls over').first().waitFor()
  await main.getByText('529').first().waitFor()
})

test('sees all that a record holds', async () => {
  const { accounts } = await gateway.admin.get('/api/admin/accounts?limit=50')
  const bedrock = accounts.find(({ type }) => type === 'bedrock')
  await gateway.admin.post('/api/admin/account-groups', { name: 'in frankfurt', account_ids: [bedrock.id] })
  const { key } = await gateway.admin.post('/api/api-keys', { name: 'labelled', tags: ['nightly', 'team-research'], metadata: { 'cost-centre': '4711' } })
  const request = await converse(gateway, key, 'bedrock,claude-sonnet-5')
  const { records: [record] } = await gateway.admin.get(`/api/admin/usage/records?request_id=${request}`)
  await admin.open(`/usage/${request}`)
  const main = page.getByRole('main')
  const fact = (title) => main.locator('.fact').filter({ has: page.getByText(title, { exact: true }) })
  await fact('Session').getByText('session-of-the-test').waitFor()
  assert.deepEqual(await fact('Tags').getByRole('listitem').allInnerTexts(), ['nightly', 'team-research'])
  assert.match(await fact('Metadata').innerText(), /cost-centre:\s*4711/)
  assert.match(await fact('Price rate').innerText(), /× 1$/)
  await main.getByRole('table', { name: 'Reserved' }).getByRole('row', { name: /^Output/ }).getByText('64').waitFor()
  assert.ok(record.reserved.price_id)
  await main.getByText(record.reserved.price_id).first().waitFor()
  const lost = main.locator('.card').filter({ has: page.getByRole('heading', { name: 'Lost in conversion' }) })
  await lost.getByText('A field of the request or of the answer has no place in the other format.').waitFor()
  await fact('Region').getByText('eu-central-1').waitFor()
  await fact('Account groups').getByRole('link', { name: 'in frankfurt' }).waitFor()
})

test('sees on the dashboard what the gateway refused by itself, and finds the request by its id', async () => {
  const { key } = await gateway.admin.post('/api/api-keys', { name: 'asks for what is not there' })
  const request = await refuse(gateway, key, 'no-such-model')
  await admin.open('/')
  const refused = page.getByRole('region', { name: /^Refused by the gateway today/ })
  await refused.getByText('No platform or account is known for the model.').waitFor()
  await refused.getByRole('link', { name: /model_not_found/ }).click()
  await page.waitForURL(/\/usage\/refusals\?range=today&code=model_not_found$/)
  await admin.settled()
  const often = page.getByRole('region', { name: 'How often' }).getByRole('row', { name: /asks for what is not there/ })
  assert.match(await often.innerText(), /no-such-model/)
  const row = page.getByRole('region', { name: 'Refused by the gateway' }).getByRole('row', { name: /asks for what is not there/ })
  await row.getByRole('link').click()
  await page.waitForURL(new RegExp(`/usage/${request}$`))
  const main = page.getByRole('main')
  await main.getByText('The client got HTTP 404').waitFor()
  await main.getByText('no platform is known for the model').waitFor()
  await main.getByRole('link', { name: 'asks for what is not there' }).waitFor()
})

test('sees nodes, sets settings, routes and maps models', async () => {
  await admin.open('/nodes')
  await page.getByText('standalone').first().waitFor()
  await admin.open('/settings')
  await admin.field('Public address of the API').fill('https://api.example.com/')
  await admin.button('Save').click()
  await page.getByText('Saved.').waitFor()
  assert.equal((await gateway.admin.get('/api/gateway')).public_api_url, 'https://api.example.com')
  await admin.open('/model-routes/new')
  await admin.field('Model or pattern').fill('team-*')
  await admin.button('Create').click()
  await page.waitForURL(/\/model-routes$/)
  await admin.link('team-*').waitFor()
  await admin.open('/model-mappings/new')
  await admin.field('Asked for').fill('fast')
  await admin.field('Meant').fill('claude-haiku-4-5')
  await admin.button('Create').click()
  await page.waitForURL(/\/model-mappings$/)
  await admin.link('fast').waitFor()
})

test('is told that no record was rejected, and otherwise why and what to do', async () => {
  await admin.open('/nodes')
  await admin.link('Rejected records').click()
  await page.getByText('Nothing was rejected').waitFor()
  // A page that asks for nothing by itself, while the server is away.
  await admin.open('/settings')
  await rejectRecords(gateway, [...REJECTIONS, ...Array(20).fill({ reason: 'gone', records: 3, payload: '' })])
  await admin.open('/')
  await page.getByText('32 usage records could not be taken').waitFor()
  await admin.link('See what was rejected').click()
  await page.waitForURL(/\/nodes\/rejected$/)
  await admin.open('/nodes/rejected?limit=25')
  await page.getByText('32 in all.').waitFor()
  const rows = page.getByRole('region', { name: 'Rejected records' }).locator('tbody tr')
  assert.equal(await rows.count(), 25)
  for (const [index, { reason }] of REJECTIONS.entries()) await rows.nth(index).getByText(reason, { exact: true }).waitFor()
  await rows.nth(0).getByText('node-1').waitFor()
  await rows.nth(0).getByText('01081G81860W40J2GB1G6GW3RG').waitFor()
  await rows.nth(0).getByText('Spool 1').waitFor()
  await rows.nth(0).getByText('record 5,000', { exact: true }).waitFor()
  await rows.nth(0).getByText('If the node runs a newer version, update the control plane.').waitFor()
  await rows.nth(1).getByText("The node's disk has lost the record").waitFor()
  assert.equal(await rows.nth(1).getByRole('button').count(), 0)
  await rows.nth(8).getByText("Data too long for column 'model_requested' at row 1").waitFor()
  await rows.nth(9).getByText('records 5,009–6,242', { exact: true }).waitFor()
  await rows.nth(10).getByText('This version does not know the reason.').waitFor()
  await rows.nth(0).getByRole('button', { name: 'Copy the record: Spool 1, record 5000' }).click()
  await page.getByText('Copied').first().waitFor()
  assert.equal(Buffer.from(await page.evaluate(() => navigator.clipboard.readText()), 'base64').toString(), 'no record')
  await admin.button('Next').click()
  await page.waitForURL(/cursor=/)
  await admin.settled()
  assert.equal(await rows.count(), 7)
  await admin.button('Previous').click()
  await rows.nth(0).getByText('no_content', { exact: true }).waitFor()
})

test('makes a user', async () => {
  await admin.open('/users/new')
  await admin.field('Name').fill('grace')
  await admin.field('Password').fill('a-password-of-grace')
  await admin.button('Create').click()
  await page.waitForURL((url) => !url.pathname.endsWith('/new'))
  await admin.open('/users')
  await admin.link('grace').waitFor()
})

test('changes the language, and it stays', async () => {
  await page.getByLabel('Language').first().selectOption('zh-CN')
  await page.getByRole('heading', { name: '用户' }).waitFor()
  await page.reload()
  await page.getByRole('heading', { name: '用户' }).waitFor()
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN')
  await page.getByLabel('语言').first().selectOption('en')
  await page.getByRole('heading', { name: 'Users' }).waitFor()
})

test('keeps the login in a second tab, and leaves it in all', async () => {
  const second = await admin.tab()
  await second.goto(`${gateway.adminUrl}/accounts`)
  await second.getByRole('heading', { name: 'Accounts' }).waitFor()
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]))
  const told = page.waitForRequest((request) => new URL(request.url()).pathname === '/api/auth/logout')
  await admin.button('Sign out').click()
  const { authorization } = (await told).headers()
  assert.match(authorization, /^Bearer ./)
  assert.ok(!kept.includes(authorization.slice('Bearer '.length)), kept)
  await page.waitForURL(/\/login/)
  await second.waitForURL(/\/login/)
  const after = await fetch(`${gateway.adminUrl}/api/profile`, { headers: { authorization } })
  assert.equal(after.status, 401)
  await page.reload()
  await page.locator('input[name=username]').waitFor()
  await admin.leave()
})
