import { eventually } from './programs.mjs'

/** Every page that there is, with the ids of what stands in a gateway. */
export async function everyPage(gateway) {
  const { admin } = gateway
  const account = await gateway.account('claude-console', 'sk-ant-pages', { name: 'console' })
  await gateway.account('openai', 'sk-pages', { name: 'a rather long name of an account of the team in Zürich, second floor' })
  const group = await admin.post('/api/admin/account-groups', { name: 'group', account_ids: [account.id] })
  const key = await admin.post('/api/api-keys', { name: 'key' })
  const user = await admin.post('/api/admin/users', { name: 'grace', password: 'a-password-of-grace', role: 'viewer' })
  const route = await admin.post('/api/admin/model-routes', { pattern: 'team-*', platform: 'claude' })
  const mapping = await admin.post('/api/admin/model-mappings', { from: 'fast', to: 'claude-haiku-4-5' })
  const request = await proxyTest(gateway, 'claude-sonnet-5')
  const refused = await refuse(gateway, key.key)
  await gateway.script('sk-ant-pages', [{ fault: { status: { status: 400 } } }])
  await proxyTest(gateway, 'claude-sonnet-5')
  return [
    '/', '/accounts', '/accounts/new', '/accounts/new/bedrock', '/accounts/new/azure-openai', `/accounts/${account.id}`,
    '/account-groups', '/account-groups/new', `/account-groups/${group.id}`, '/api-keys', '/api-keys/new', `/api-keys/${key.id}`,
    '/users', '/users/new', `/users/${user.id}`, '/usage', `/usage/${request}`, '/usage/refusals', `/usage/${refused}`, '/nodes', '/model-routes', '/model-routes/new',
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
