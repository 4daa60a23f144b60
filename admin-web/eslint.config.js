import i18n from '@intlify/eslint-plugin-vue-i18n'
import vue from 'eslint-plugin-vue'
import typescript from 'typescript-eslint'

export default typescript.config(
  { ignores: ['dist/', 'node_modules/', 'public/', 'target/', 'src/api/schema.d.ts', 'src/components.d.ts'] },
  typescript.configs.strict,
  vue.configs['flat/recommended'],
  { files: ['**/*.vue'], languageOptions: { parserOptions: { parser: typescript.parser } } },
  {
    files: ['src/**/*.{ts,vue}'],
    plugins: { '@intlify/vue-i18n': i18n },
    settings: { 'vue-i18n': { localeDir: { pattern: './src/i18n/*/*.json', localeKey: 'path', localePattern: /^.*\/(?<locale>en|zh-CN)\/[^/]+\.json$/ }, messageSyntaxVersion: '^11.0.0' } },
    rules: {
      // Every visible string goes through i18n.
      '@intlify/vue-i18n/no-raw-text': ['error', { ignoreText: ['Switchyard'], ignorePattern: '^[\\s·—–→…:/|()%×+\\-•#]*$', attributes: { '/.+/': ['title', 'aria-label', 'placeholder', 'alt', 'label'] } }],
      // Text from people or providers is never rendered as HTML.
      'vue/no-v-html': 'error',
      'vue/block-order': ['error', { order: ['script', 'template', 'style'] }],
      'vue/component-api-style': ['error', ['script-setup']],
      'vue/multi-word-component-names': 'off',
      // How lines break is prose's business here, not the linter's.
      'vue/max-attributes-per-line': 'off',
      'vue/singleline-html-element-content-newline': 'off',
      'vue/html-self-closing': 'off',
      'vue/html-indent': 'off',
      'vue/html-closing-bracket-newline': 'off',
      'vue/first-attribute-linebreak': 'off',
      'vue/multiline-html-element-content-newline': 'off',
      'vue/attributes-order': 'off',
      'no-console': 'error',
    },
  },
)
