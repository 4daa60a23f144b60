import type { Messages } from '.'

/** `{ './en/nav.json': … }` as `{ nav: … }`. */
export function byArea(files: Record<string, Messages>): Messages {
  return Object.fromEntries(Object.entries(files).map(([path, messages]) => [/([^/]+)\.json$/.exec(path)?.[1] ?? path, messages]))
}
