/**
 * The server's own words in the person's language: what account types are called and what their fields are for. The
 * server speaks English; a dictionary is keyed by its sentences, and what is not in it is shown as it is.
 */
import { useI18n } from 'vue-i18n'
import chinese from './serverTexts.zh-CN.json'

const DICTIONARIES: Record<string, Record<string, string>> = { 'zh-CN': chinese }

export function useServerText() {
  const { locale } = useI18n()
  return (english: string): string => DICTIONARIES[locale.value]?.[english] ?? english
}
