import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { onOtherTab } from './api/session'
import { i18n } from './i18n'
import { makeRouter } from './router'
import { usePreferences } from './stores/preferences'
import { useSession } from './stores/session'
import 'element-plus/theme-chalk/base.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import 'element-plus/theme-chalk/el-message.css'
import 'element-plus/theme-chalk/el-message-box.css'
import './styles/theme.css'
import './styles/base.css'

const router = makeRouter()
const app = createApp(App).use(createPinia()).use(i18n)

const preferences = usePreferences()
await preferences.setLanguage(preferences.language)
app.use(router).mount('#app')

onOtherTab((signedIn) => {
  const session = useSession()
  if (signedIn) return location.reload()
  session.forget()
  void router.push('/login')
})
