/** What a person types to add an account of each type, at the emulated provider. */

const key = (value) => [['API key', value]]

/** The title of the type's card, its fields by label, and where the emulator speaks its wire. */
export const ACCOUNTS = [
  { type: 'claude-official', title: 'Claude (OAuth)', fields: [['Access token', 'sk-ant-oat-test']], at: '/anthropic' },
  { type: 'claude-console', title: 'Claude (API key)', fields: key('sk-ant-console-test'), at: '' },
  { type: 'bedrock', title: 'Claude on Amazon Bedrock', fields: [['Region', 'eu-central-1'], ['Access key id', 'AKIATEST'], ['Secret access key', 'secret-of-AKIATEST']], at: '/bedrock' },
  { type: 'ccr', title: 'Claude Code Router', fields: key('ccr-key-test'), at: '' },
  { type: 'openai', title: 'OpenAI', fields: key('sk-openai-test'), at: '' },
  { type: 'openai-responses', title: 'OpenAI Responses', fields: key('sk-responses-test'), at: '' },
  { type: 'azure-openai', title: 'Azure OpenAI', fields: [['API version', '2024-10-21'], ...key('azure-key-test')], at: '/azure' },
  { type: 'gemini', title: 'Gemini (OAuth)', fields: [['Access token', 'ya29.test']], at: '/google' },
  { type: 'gemini-api', title: 'Gemini (API key)', fields: key('AIza-test'), at: '/google' },
  { type: 'droid', title: 'Droid', fields: key('fk-test'), at: '/droid' },
]

/** From the choice of the type to the account's own page. */
export async function addAccount(person, gateway, { title, fields, at }, name) {
  await person.open('/accounts/new')
  await person.page.getByRole('link', { name: title }).filter({ has: person.page.getByText(title, { exact: true }) }).first().click()
  await person.settled()
  await person.field('Name').fill(name)
  await person.field('Base URL').fill(gateway.emulatorUrl + at)
  for (const [label, value] of fields) await person.field(label).fill(value)
  await person.button('Create').click()
  await person.page.waitForURL(/\/accounts\/[0-9A-Z]{26}$/)
  await person.settled()
}
