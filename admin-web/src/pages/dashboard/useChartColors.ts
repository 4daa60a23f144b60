/** The theme's colours, as a canvas needs them: read again when the theme changes. */
import { nextTick, shallowRef, watch } from 'vue'
import { usePreferences } from '@/stores/preferences'
import { COLORS, type Colors } from './charts'

export function useChartColors() {
  const preferences = usePreferences()
  const colors = shallowRef(read())
  watch(() => preferences.isDark, async () => {
    await nextTick()
    colors.value = read()
  })
  return colors
}

function read(): Colors {
  const styles = getComputedStyle(document.documentElement)
  return Object.fromEntries(Object.entries(COLORS).map(([name, variable]) => [name, styles.getPropertyValue(variable).trim()])) as Colors
}
