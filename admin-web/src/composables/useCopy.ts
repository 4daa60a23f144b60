/** Copies a text; `copied` is true for a moment after. Without a secure context the clipboard's old way is taken. */
import { ref } from 'vue'

const SHOWN_MS = 2_000

export function useCopy() {
  const copied = ref(false)

  async function copy(text: string) {
    // `clipboard` is absent on plain http.
    const modern = (navigator as Partial<Navigator>).clipboard?.writeText(text)
    const done = modern === undefined ? copyBySelection(text) : await modern.then(() => true).catch(() => copyBySelection(text))
    if (!done) return
    copied.value = true
    setTimeout(() => (copied.value = false), SHOWN_MS)
  }

  return { copied, copy }
}

function copyBySelection(text: string) {
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  return done
}
