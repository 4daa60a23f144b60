import { describe, expect, it } from 'vitest'
import stored from '../../../../control-plane/account-types.json'
import type { Account, AccountTypes } from '@/api/accounts'
import en from '@/i18n/en'
import type { Messages } from '@/i18n'
import {
  chooseCredentials, credentialsOf, draftOf, emptyDraft, fieldsOf, inputOf, isUnset, missing, sectionsOf, shapeOf,
  type Draft, type PlacedField, type Shape, type Value,
} from './rules'

const types = stored as unknown as AccountTypes

function shape(type: string): Shape {
  const found = shapeOf(types, type)
  if (found === null) throw new Error(`no type ${type}`)
  return found
}

/** Something that each kind of field may hold. */
function sample({ field, path }: PlacedField): Value {
  switch (field.kind) {
    case 'text': return `a ${path}`
    case 'url': return 'https://upstream.example.com'
    case 'integer': return 7
    case 'boolean': return false
    case 'choice': return field.choices?.at(-1) ?? ''
    case 'time': return 1_790_000_000_000
    case 'list': return ['a', 'b']
    case 'map': return { from: 'to' }
    case 'groups': return ['01K0000000000000000000000G']
  }
}

/** A new account's form with all filled in, with one form of credentials. */
function filled(of: Shape, kind: string): Draft {
  const draft = emptyDraft(of)
  for (const placed of fieldsOf(of)) draft[placed.path] = sample(placed)
  chooseCredentials(of, draft, kind)
  return draft
}

/** What the server then would say of the account. */
function accountOf(of: Shape, draft: Draft): Account {
  const { options, credentials, ...plain } = inputOf(of, draft, draft, true)
  void credentials
  return { ...plain, options, credential: { kind: draft.credentials, set: true } } as unknown as Account
}

describe.each(types.types.map(({ type }) => type))('the form of %s', (type) => {
  const of = shape(type)

  it('has every described field once', () => {
    const described = [of.type.base_url, ...of.common, ...of.type.options, ...of.type.credentials.flatMap(({ fields }) => fields)]
    const paths = fieldsOf(of).map(({ path }) => path)
    expect(fieldsOf(of).map(({ field }) => field).sort(byName)).toEqual(described.sort(byName))
    expect(new Set(paths).size).toBe(paths.length)
  })

  it('begins with nothing but what is on by default', () => {
    const draft = emptyDraft(of)
    expect(inputOf(of, draft, draft, true)).toEqual({ type, enabled: true, schedulable: true, options: {}, credentials: {} })
  })

  it.each(of.type.credentials.map(({ kind }) => kind))('sends all that is filled in, with %s', (kind) => {
    const draft = filled(of, kind)
    const input = inputOf(of, draft, draft, true)
    const names = (fields: { name: string }[]) => fields.map(({ name }) => name).sort()
    expect(Object.keys(input).sort()).toEqual([...names(of.common), 'base_url', 'credentials', 'options', 'type'].sort())
    expect(Object.keys(input.options ?? {}).sort()).toEqual(names(of.type.options))
    expect(Object.keys(input.credentials ?? {}).sort()).toEqual(names(credentialsOf(of, kind).map(({ field }) => field)))
  })

  it.each(of.type.credentials.map(({ kind }) => kind))('sends nothing of an account that was only looked at, with %s', (kind) => {
    const made = filled(of, kind)
    const read = draftOf(of, accountOf(of, made))
    expect(inputOf(of, read, {}, false)).toEqual({})
    const secrets = credentialsOf(of, kind).map(({ path }) => path)
    expect(secrets.every((path) => isUnset(read[path]))).toBe(true)
    const rest = Object.keys(made).filter((path) => !path.startsWith('credentials.'))
    for (const path of rest) expect(read[path], path).toEqual(made[path])
  })

  it('sends null for what is emptied, so that the default counts again', () => {
    const empty = emptyDraft(of)
    const emptied = Object.fromEntries(of.common.map(({ name }) => [name, empty[name] ?? null]))
    const { enabled, schedulable, ...nulls } = inputOf(of, { ...filled(of, of.type.credentials[0]?.kind ?? ''), ...emptied }, emptied, false)
    expect({ enabled, schedulable }).toEqual({ enabled: true, schedulable: true })
    expect(Object.values(nulls).every((value) => value === null)).toBe(true)
    expect(Object.keys(nulls).length).toBe(of.common.length - 2)
  })

  it('has a name for each field, choice and form of credentials', () => {
    const text = (key: string) => key.split('.').reduce<Messages | string | undefined>((at, part) => (typeof at === 'object' ? at[part] : undefined), en)
    for (const { path, field } of fieldsOf(of)) {
      expect(text(`accounts.fields.${path}`), path).toBeTypeOf('string')
      for (const choice of field.choices ?? []) expect(text(`accounts.choices.${path}.${choice}`), choice).toBeTypeOf('string')
    }
    for (const { kind } of of.type.credentials) expect(text(`accounts.credentialKinds.${kind}`), kind).toBeTypeOf('string')
  })
})

describe('a change', () => {
  it('of one option sends all of them, since the server replaces them as a whole', () => {
    const azure = shape('azure-openai')
    const draft = { ...filled(azure, 'api_key'), 'options.api_version': '2024-10-21' }
    expect(inputOf(azure, draft, { 'options.api_version': '2024-10-21' }, false)).toEqual({ options: { api_version: '2024-10-21', deployments: { from: 'to' } } })
  })

  it('sends credentials once something is typed, without the blanks that were pasted along', () => {
    const console = shape('claude-console')
    const typed = { 'credentials.api_key': ' sk-ant-1\n' }
    expect(inputOf(console, { ...emptyDraft(console), ...typed }, typed, false)).toEqual({ credentials: { api_key: 'sk-ant-1' } })
  })

  it('keeps 0, which is a limit, apart from no limit', () => {
    const console = shape('claude-console')
    expect(inputOf(console, { concurrency: 0 }, { concurrency: 0 }, false)).toEqual({ concurrency: 0 })
    expect(inputOf(console, { concurrency: null }, { concurrency: null }, false)).toEqual({ concurrency: null })
  })
})

describe('what is missing', () => {
  const openai = shape('openai')
  const of = (form: Shape, draft: Draft, before: Draft | null) => missing(form, draft, before, 'is required').map(({ field }) => field)

  it('is all that a new account must have, by the form of credentials that is chosen', () => {
    const bedrock = shape('bedrock')
    const draft = emptyDraft(bedrock)
    expect(of(bedrock, draft, null)).toEqual(['name', 'options.region', 'credentials.access_key_id', 'credentials.secret_access_key'])
    chooseCredentials(bedrock, draft, 'api_key')
    expect(of(bedrock, draft, null)).toEqual(['name', 'options.region', 'credentials.api_key'])
  })

  it.each(types.types.map(({ type }) => type))('is nothing of %s once all is filled in', (type) => {
    const form = shape(type)
    for (const { kind } of form.type.credentials) expect(of(form, filled(form, kind), null)).toEqual([])
  })

  it('is none of the credentials while they stay as they are', () => {
    const before = { ...emptyDraft(openai), name: 'n', credentials: 'oauth' }
    expect(of(openai, { ...before }, before)).toEqual([])
    expect(of(openai, { ...before, name: '' }, before)).toEqual(['name'])
    expect(of(openai, { ...before, 'credentials.refresh_token': 'r' }, before)).toEqual(['credentials.access_token'])
    expect(of(openai, { ...before, credentials: 'api_key' }, before)).toEqual(['credentials.api_key'])
  })
})

it('what was typed into one form of credentials is forgotten when another is chosen', () => {
  const openai = shape('openai')
  const draft = { ...emptyDraft(openai), 'credentials.api_key': 'sk-1', name: 'kept' }
  chooseCredentials(openai, draft, 'oauth')
  expect(draft).toMatchObject({ credentials: 'oauth', 'credentials.api_key': '', name: 'kept' })
})

it('a field that the server describes newly stands in the last section', () => {
  const of = shape('droid')
  const common = [...of.common, { name: 'brand_new', kind: 'text' as const, required: false, secret: false, default: null, help: '' }]
  expect(sectionsOf({ ...of, common }).at(-1)?.fields.at(-1)?.path).toBe('brand_new')
})

function byName(a: { name: string; help: string }, b: { name: string; help: string }) {
  return `${a.name} ${a.help}`.localeCompare(`${b.name} ${b.help}`)
}
