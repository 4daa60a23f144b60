/**
 * Every visible string, in English and 简体中文. A file per area, `en/<area>.json` and `zh-CN/<area>.json`; its name is
 * the first part of its keys. Only the language in use is loaded; a test holds that both are complete.
 */
import { createI18n } from 'vue-i18n'

export const LANGUAGES = ['en', 'zh-CN'] as const
export type Language = (typeof LANGUAGES)[number]

export const LANGUAGE_NAMES: Record<Language, string> = { en: 'English', 'zh-CN': '简体中文' }

export type Messages = { [key: string]: string | Messages }

const loaders: Record<Language, () => Promise<{ default: Messages }>> = {
  en: () => import('./en'),
  'zh-CN': () => import('./zh-CN'),
}

export const i18n = createI18n({ legacy: false, locale: 'en', fallbackLocale: false as const, missingWarn: false, fallbackWarn: false })

export async function setLanguage(language: Language) {
  const { global } = i18n
  if (!global.availableLocales.includes(language as never) || Object.keys(global.getLocaleMessage(language)).length === 0) {
    global.setLocaleMessage(language, (await loaders[language]()).default as never)
  }
  global.locale.value = language as never
  document.documentElement.lang = language
}
