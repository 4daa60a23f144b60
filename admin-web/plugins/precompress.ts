import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

const TEXTS = new Set(['.html', '.js', '.css', '.svg', '.json'])

/** Writes a `.br` and a `.gz` beside every text of the build that they make smaller by a tenth at least. */
export function precompress(): Plugin {
  let folder = ''
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) {
      folder = config.build.outDir
    },
    writeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (entry.isFile() && TEXTS.has(extname(entry.name))) compress(join(entry.parentPath, entry.name))
      }
    },
  }
}

function compress(path: string) {
  const bytes = readFileSync(path)
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  })
  for (const [suffix, small] of [['br', brotli], ['gz', gzipSync(bytes, { level: 9 })]] as const) {
    if (small.length < bytes.length * 0.9) writeFileSync(`${path}.${suffix}`, small)
  }
}
