import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import components from 'unplugin-vue-components/vite'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import { defineConfig } from 'vitest/config'
import { precompress } from './plugins/precompress.ts'

/** Where `npm run dev` finds the control plane. */
const CONTROL_PLANE = process.env.SWITCHYARD_ADMIN_URL ?? 'http://127.0.0.1:8081'
/** It takes logins from its own pages only, so what these send counts as from there. */
const proxied = { target: CONTROL_PLANE, changeOrigin: true, headers: { origin: new URL(CONTROL_PLANE).origin } }

export default defineConfig({
  plugins: [
    vue(),
    // A build by cargo writes into its own folder only: it would take a newer file in `src` for a change.
    components({ dts: process.env.CARGO ? false : 'src/components.d.ts', dirs: ['src/components'], resolvers: [ElementPlusResolver({ importStyle: 'css' })] }),
    precompress(),
  ],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  define: {
    __VUE_I18N_FULL_INSTALL__: false,
    __VUE_I18N_LEGACY_API__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
  },
  build: { target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0, reportCompressedSize: false },
  server: {
    host: '127.0.0.1',
    proxy: { '^/api/': proxied, '/healthz': proxied, '/readyz': proxied },
  },
  test: { environment: 'happy-dom', include: ['src/**/*.test.ts'], server: { deps: { inline: ['element-plus'] } } },
})
