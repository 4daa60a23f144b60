/**
 * The form of an account, made from what the server says that its type needs: fields, what they begin as, and what of
 * them is sent. A field that the server describes newly appears by itself.
 */
import type { Account, AccountInput, AccountType, AccountTypes, Field } from '@/api/accounts'
import type { FieldError } from '@/api/problem'

export type Value = string | number | boolean | null | string[] | Record<string, string>

/**
 * By path, as the server's errors name it: `name`, `options.region`, `credentials.api_key`. `credentials` itself holds
 * which of their forms is filled in. What is unset is '', null, [] or {}.
 */
export type Draft = Record<string, Value>

/** A type and the fields that it shares with all others. */
export interface Shape {
  type: AccountType
  common: Field[]
}

export interface PlacedField {
  path: string
  field: Field
}

/** What the form's sections hold of the common fields; what is named nowhere comes last. */
const SECTIONS = {
  account: ['name', 'description', 'tags'],
  upstream: [] as string[],
  models: ['model_mapping', 'allowed_models'],
  use: ['enabled', 'schedulable', 'group_ids', 'priority', 'weight', 'concurrency', 'client_gone', 'expires_at'],
}
export type SectionName = keyof typeof SECTIONS
/** Where the fields of the type stand, and the credentials after them. */
export const OF_THE_TYPE: SectionName = 'upstream'
const LAST: SectionName = 'use'

export function shapeOf({ types, common }: AccountTypes, type: string): Shape | null {
  const found = types.find((candidate) => candidate.type === type)
  return found === undefined ? null : { type: found, common }
}

/** The form from top to bottom, without the credentials. */
export function sectionsOf(shape: Shape): { name: SectionName; fields: PlacedField[] }[] {
  const placed = new Set(Object.values(SECTIONS).flat())
  const common = (name: string) => shape.common.filter((field) => field.name === name)
  return (Object.keys(SECTIONS) as SectionName[]).map((name) => {
    const named = SECTIONS[name].flatMap(common)
    const rest = name === LAST ? shape.common.filter((field) => !placed.has(field.name)) : []
    const plain = [...(name === OF_THE_TYPE ? [shape.type.base_url] : []), ...named, ...rest]
    return { name, fields: [...plain.map((field) => ({ path: field.name, field })), ...(name === OF_THE_TYPE ? optionsOf(shape) : [])] }
  })
}

export function optionsOf({ type }: Shape): PlacedField[] {
  return type.options.map((field) => ({ path: `options.${field.name}`, field }))
}

/** The fields of one form of credentials. */
export function credentialsOf({ type }: Shape, kind: Value | undefined): PlacedField[] {
  const form = type.credentials.find((form) => form.kind === kind)
  return (form?.fields ?? []).map((field) => ({ path: `credentials.${field.name}`, field }))
}

/** Every field, those of all forms of credentials among them. */
export function fieldsOf(shape: Shape): PlacedField[] {
  return [
    ...sectionsOf(shape).flatMap(({ fields }) => fields),
    ...shape.type.credentials.flatMap(({ kind }) => credentialsOf(shape, kind)),
  ]
}

function unset({ kind, default: usual }: Field): Value {
  switch (kind) {
    case 'boolean': return usual === true
    case 'integer': case 'time': return null
    case 'list': case 'groups': return []
    case 'map': return {}
    case 'text': case 'url': case 'choice': return ''
  }
}

export function isUnset(value: Value | undefined): boolean {
  if (value === undefined || value === null) return true
  return typeof value === 'object' ? Object.keys(value).length === 0 : value === ''
}

/** What a new account's form begins as. */
export function emptyDraft(shape: Shape): Draft {
  const fields = fieldsOf(shape).map(({ path, field }) => [path, unset(field)] as const)
  return { ...Object.fromEntries(fields), credentials: shape.type.credentials[0]?.kind ?? '' }
}

/** What an account's form begins as. Credentials are never read back: theirs are unset. */
export function draftOf(shape: Shape, account: Account): Draft {
  const draft = emptyDraft(shape)
  const known = { ...account, ...Object.fromEntries(Object.entries(account.options).map(([name, value]) => [`options.${name}`, value])) }
  for (const { path } of fieldsOf(shape)) {
    const value = (known as unknown as Record<string, Value | undefined>)[path]
    if (value !== undefined && value !== null) draft[path] = value
  }
  draft.credentials = account.credential.kind
  return draft
}

/** Chooses a form of credentials, and forgets what was typed into the others. */
export function chooseCredentials(shape: Shape, draft: Draft, kind: string) {
  draft.credentials = kind
  const kept = new Set(credentialsOf(shape, kind).map(({ path }) => path))
  for (const { path, field } of fieldsOf(shape)) {
    if (path.startsWith('credentials.') && !kept.has(path)) draft[path] = unset(field)
  }
}

const touches = (changes: Partial<Draft>, part: string) =>
  Object.keys(changes).some((path) => path === part || path.startsWith(`${part}.`))

/** What is sent: of an account that is there, only `changes`; parts that the server replaces as a whole, as a whole. */
export function inputOf(shape: Shape, draft: Draft, changes: Partial<Draft>, isNew: boolean): AccountInput {
  const input: Record<string, unknown> = isNew ? { type: shape.type.type } : {}
  for (const { path } of sectionsOf(shape).flatMap(({ fields }) => fields)) {
    const value = changes[path]
    if (path.includes('.') || value === undefined) continue
    if (!isUnset(value)) input[path] = trimmed(value)
    else if (!isNew) input[path] = null
  }
  if (isNew || touches(changes, 'options')) input.options = given(optionsOf(shape), draft)
  if (isNew || touches(changes, 'credentials')) input.credentials = given(credentialsOf(shape, draft.credentials), draft)
  return input as AccountInput
}

/** By the fields' own names, without those that are unset. */
function given(fields: PlacedField[], draft: Draft) {
  const set = fields.filter(({ path }) => !isUnset(draft[path]))
  return Object.fromEntries(set.map(({ path, field }) => [field.name, trimmed(draft[path] ?? null)]))
}

/** Blanks come along when a key or an address is pasted. */
function trimmed(value: Value) {
  return typeof value === 'string' ? value.trim() : value
}

/**
 * What must be there and is not. Credentials that are set may stay as they are: theirs are missing only once they are to
 * be sent. `before` is null for a new account.
 */
export function missing(shape: Shape, draft: Draft, before: Draft | null, message: string): FieldError[] {
  const credentials = credentialsOf(shape, draft.credentials)
  const isSent = before === null || before.credentials !== draft.credentials || credentials.some(({ path }) => !isUnset(draft[path]))
  const needed = [...sectionsOf(shape).flatMap(({ fields }) => fields), ...(isSent ? credentials : [])]
  return needed.filter(({ path, field }) => field.required && isUnset(draft[path])).map(({ path }) => ({ field: path, message }))
}
