/** What a person chose for this browser: theme and language. The keys are those that `public/early.js` reads. */
import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import { LANGUAGES, setLanguage, type Language } from '@/i18n'

export type Theme = 'light' | 'dark' | 'system'
export const THEMES: Theme[] = ['system', 'light', 'dark']

const THEME = 'switchyard.theme'
const LANGUAGE = 'switchyard.language'

export const usePreferences = defineStore('preferences', () => {
  const theme = ref<Theme>(THEMES.find((theme) => theme === localStorage.getItem(THEME)) ?? 'system')
  const language = ref<Language>(chosenLanguage(localStorage.getItem(LANGUAGE)))
  const system = matchMedia('(prefers-color-scheme: dark)')
  const systemIsDark = ref(system.matches)
  system.addEventListener('change', (event) => (systemIsDark.value = event.matches))
  const isDark = computed(() => theme.value === 'dark' || (theme.value === 'system' && systemIsDark.value))

  watch(isDark, (dark) => document.documentElement.classList.toggle('dark', dark), { immediate: true })

  function setTheme(chosen: Theme) {
    theme.value = chosen
    localStorage.setItem(THEME, chosen)
  }

  async function choose(chosen: Language) {
    await setLanguage(chosen)
    language.value = chosen
    localStorage.setItem(LANGUAGE, chosen)
  }

  return { theme, isDark, language, setTheme, setLanguage: choose }
})

/** What was chosen, else what the browser prefers. */
export function chosenLanguage(chosen: string | null, preferred: readonly string[] = navigator.languages): Language {
  for (const tag of [chosen ?? '', ...preferred]) {
    const exact = LANGUAGES.find((language) => language === tag)
    if (exact !== undefined) return exact
    const same = LANGUAGES.find((language) => language.split('-')[0] === tag.split('-')[0]?.toLowerCase())
    if (same !== undefined) return same
  }
  return 'en'
}
