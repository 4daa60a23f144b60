import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { eventually } from './programs.mjs'

/** Every page that there is, with the ids of what stands in a gateway. */
export async function everyPage(gateway) {
  const { admin } = gateway
  await rejectRecords(gateway, REJECTIONS)
  const account = await gateway.account('claude-console', 'sk-ant-pages', { name: 'console' })
  await gateway.account('openai', 'sk-pages', { name: 'a rather long name of an account of the team in Zürich, second floor' })
  const group = await admin.post('/api/admin/account-groups', { name: 'group', account_ids: [account.id] })
  const key = await admin.post('/api/api-keys', { name: 'key', tags: ['nightly', 'team-research'], metadata: { 'cost-centre': '4711' } })
  const user = await admin.post('/api/admin/users', { name: 'grace', password: 'a-password-of-grace', role: 'viewer' })
  const route = await admin.post('/api/admin/model-routes', { pattern: 'team-*', platform: 'claude' })
  const mapping = await admin.post('/api/admin/model-mappings', { from: 'fast', to: 'claude-haiku-4-5' })
  const request = await converse(gateway, key.key, 'claude-sonnet-5')
  await admin.post(`/api/admin/accounts/${account.id}/test`)
  const refused = await refuse(gateway, key.key)
  await gateway.script('sk-ant-pages', [{ fault: { status: { status: 400 } } }])
  await proxyTest(gateway, 'claude-sonnet-5')
  return [
    '/', '/accounts', '/accounts/new', '/accounts/new/bedrock', '/accounts/new/azure-openai', `/accounts/${account.id}`,
    '/account-groups', '/account-groups/new', `/account-groups/${group.id}`, '/api-keys', '/api-keys/new', `/api-keys/${key.id}`,
    '/users', '/users/new', `/users/${user.id}`, '/usage', `/usage/${request}`, '/usage/refusals', `/usage/${refused}`, '/nodes', '/nodes/rejected', '/model-routes', '/model-routes/new',
    `/model-routes/${route.id}`, '/model-mappings', '/model-mappings/new', `/model-mappings/${mapping.id}`, '/settings', '/proxy-test', '/profile', '/no-such-page',
  ]
}

/** One request; gives its id. */
async function proxyTest(gateway, model) {
  const body = JSON.stringify({ model, max_tokens: 64, messages: [{ role: 'user', content: 'hello' }] })
  const answer = await fetch(`${gateway.adminUrl}/api/proxy-test/messages`, { method: 'POST', headers: gateway.admin.headers(), body })
  await answer.text()
  return answer.headers.get('x-request-id')
}

/** A chat of the key in a session, with something in it that no account of Claude can be told; gives its id, once it is in the ledger. */
export async function converse(gateway, key, model) {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ model, max_tokens: 64, presence_penalty: 0.5, prompt_cache_key: 'session-of-the-test', messages: [{ role: 'user', content: 'hello' }] })
  const request = await eventually('the key to be known', async () => {
    const answer = await fetch(`http://${gateway.address}/v1/chat/completions`, { method: 'POST', headers, body })
    await answer.text()
    return answer.ok && answer.headers.get('x-request-id')
  })
  await eventually('the record to be in the ledger', async () => {
    const { records } = await gateway.admin.get(`/api/admin/usage/records?request_id=${request}`)
    return records[0]?.outcome === 'completed'
  })
  return request
}

/** A record that was rejected for each reason, and one for a reason of a later version. */
export const REJECTIONS = [
  { reason: 'no_content' }, { reason: 'no_content', payload: '' }, { reason: 'no_request' }, { reason: 'bad_request_id' }, { reason: 'bad_key_id' }, { reason: 'bad_user_id' },
  { reason: 'absurd_usage' }, { reason: 'too_many_attempts' }, { reason: 'refused_by_database', detail: "Data too long for column 'model_requested' at row 1" },
  { reason: 'gone', records: 1_234, payload: '' }, { reason: 'of_a_later_version' }, { reason: 'key_of_another_user' },
]

/** Puts rejected records into the database, the first of them as the newest: no node of this build brings them about. */
export async function rejectRecords(gateway, rejections) {
  await gateway.kill()
  const rows = rejections.map(({ reason, detail = '', records = 1, payload = 'no record' }, index) => [Date.now() - 60_000 * index, index, index + records - 1, reason, detail, payload])
  execFileSync('python3', ['-c', `
import json, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    for at, first, last, reason, detail, payload in json.loads(sys.argv[2]):
        database.execute("INSERT INTO ledger_rejected (received_at, incarnation_id, spool, first_sequence, last_sequence, node, reason, detail, payload) VALUES (?, ?, 1, ?, ?, 'node-1', ?, ?, ?)",
            (at, bytes(range(1, 17)), 5000 + first, 5000 + last, reason, detail, payload.encode()))
`, join(gateway.folder, 'data/switchyard.db'), JSON.stringify(rows)])
  await gateway.restart()
}

/** A request of the key that no account is tried for; gives its id, once it is reported. */
export async function refuse(gateway, key, model = 'no-such-model') {
  const headers = { 'x-api-key': key, 'anthropic-version': '2023-06-01', 'content-type': 'application/json' }
  const body = JSON.stringify({ model, max_tokens: 64, messages: [{ role: 'user', content: 'hello' }] })
  const refused = await eventually('the key to be known', async () => {
    const answer = await fetch(`http://${gateway.address}/v1/messages`, { method: 'POST', headers, body })
    await answer.text()
    return answer.status === 404 && answer.headers.get('x-request-id')
  })
  await eventually('the refusal to be reported', async () => {
    const { refusals } = await gateway.admin.get(`/api/admin/usage/refusals?request_id=${refused}`)
    return refusals.length > 0
  })
  return refused
}
