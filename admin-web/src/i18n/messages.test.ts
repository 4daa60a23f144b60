import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createI18n } from 'vue-i18n'
import type { Messages } from '.'
import en from './en'
import zhCN from './zh-CN'

/** `{ a: { b: 'x' } }` as `{ 'a.b': 'x' }`. */
function flat(messages: Messages, prefix = ''): Record<string, string> {
  const pairs = Object.entries(messages).flatMap(([key, value]) =>
    typeof value === 'string' ? [[`${prefix}${key}`, value] as const] : Object.entries(flat(value, `${prefix}${key}.`)),
  )
  return Object.fromEntries(pairs)
}

const placeholders = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort()
const english = flat(en)
const chinese = flat(zhCN)

function sources(): string[] {
  const root = join(__dirname, '..')
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  return files.filter((file) => /\.(vue|ts)$/.test(file) && !file.endsWith('.test.ts')).map((file) => readFileSync(join(root, file), 'utf8'))
}

describe('messages', () => {
  it('are the same in both languages', () => {
    expect(Object.keys(chinese).sort()).toEqual(Object.keys(english).sort())
  })

  it('have the same placeholders in both languages', () => {
    for (const [key, text] of Object.entries(english)) expect(placeholders(chinese[key] ?? ''), key).toEqual(placeholders(text))
  })

  it('are none of them empty or left in English', () => {
    for (const [key, text] of Object.entries(chinese)) expect(text.trim(), key).not.toBe('')
    const same = Object.keys(english).filter((key) => english[key] === chinese[key] && /[a-z]{3} [a-z]{3}/i.test(english[key] ?? ''))
    expect(same).toEqual([])
  })

  it('can all be shown: @ and | and braces mean something to their reader', () => {
    for (const [locale, messages] of Object.entries({ en, 'zh-CN': zhCN })) {
      // Its type would be worked out from the messages, which are too many for that.
      const i18n: { global: unknown } = createI18n({ legacy: false, locale, messages: { [locale]: messages } as never })
      const { t } = i18n.global as { t: (key: string) => string }
      for (const key of Object.keys(english)) expect(() => t(key), key).not.toThrow()
      for (const [key, text] of Object.entries(locale === 'en' ? english : chinese)) expect(text, key).not.toMatch(/\|/)
    }
  })

  it('are there for every key that the sources name, and every one is named', () => {
    const text = sources().join('\n')
    const exact = new Set([...text.matchAll(/['`]([a-zA-Z]\w*(?:\.[\w-]+)+)['`]/g)].map((match) => match[1] ?? ''))
    // t(`nav.themes.${theme}`) names all that begins so.
    const families = [...text.matchAll(/`([a-zA-Z]\w*(?:\.[\w-]+)*\.)\$\{/g)].map((match) => match[1] ?? '')
    const areas = new Set(Object.keys(en))
    const missing = [...exact].filter((key) => areas.has(key.split('.')[0] ?? '') && !(key in english))
    expect(missing).toEqual([])
    const unused = Object.keys(english).filter((key) => !exact.has(key) && !families.some((family) => key.startsWith(family)))
    expect(unused).toEqual([])
  })
})
