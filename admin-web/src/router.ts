/** The pages: a table of contents. `least` is the least role that a page is for; absent: whoever is signed in. */
import { watch } from 'vue'
import { createRouter, createWebHistory, type Router, type RouteRecordRaw } from 'vue-router'
import { isReachable, recoveries } from '@/api/connection'
import { useSession, type Role } from '@/stores/session'

declare module 'vue-router' {
  interface RouteMeta {
    /** Key of the page's name. */
    title: string
    least?: Role
    /** For people who are not signed in. */
    isPublic?: boolean
  }
}

const page = (path: string, title: string, component: RouteRecordRaw['component'], least?: Role): RouteRecordRaw => ({
  path, component, props: true, meta: { title, least },
}) as RouteRecordRaw

export const routes: RouteRecordRaw[] = [
  { path: '/login', component: () => import('@/pages/login/LoginPage.vue'), meta: { title: 'login.title', isPublic: true } },
  {
    path: '/',
    component: () => import('@/layout/AppLayout.vue'),
    meta: { title: 'nav.dashboard' },
    children: [
      page('', 'nav.dashboard', () => import('@/pages/dashboard/DashboardPage.vue')),
      page('accounts', 'nav.accounts', () => import('@/pages/accounts/AccountsPage.vue'), 'viewer'),
      page('accounts/new', 'accounts.choose', () => import('@/pages/accounts/AccountTypePage.vue'), 'operator'),
      page('accounts/new/:type', 'accounts.new', () => import('@/pages/accounts/AccountPage.vue'), 'operator'),
      page('accounts/:id', 'nav.accounts', () => import('@/pages/accounts/AccountPage.vue'), 'viewer'),
      page('account-groups', 'nav.accountGroups', () => import('@/pages/account-groups/AccountGroupsPage.vue'), 'viewer'),
      page('account-groups/new', 'accountGroups.new', () => import('@/pages/account-groups/AccountGroupPage.vue'), 'operator'),
      page('account-groups/:id', 'nav.accountGroups', () => import('@/pages/account-groups/AccountGroupPage.vue'), 'viewer'),
      page('api-keys', 'nav.apiKeys', () => import('@/pages/api-keys/ApiKeysPage.vue')),
      page('api-keys/new', 'apiKeys.new', () => import('@/pages/api-keys/ApiKeyPage.vue')),
      page('api-keys/:id', 'nav.apiKeys', () => import('@/pages/api-keys/ApiKeyPage.vue')),
      page('users', 'nav.users', () => import('@/pages/users/UsersPage.vue'), 'viewer'),
      page('users/new', 'users.new', () => import('@/pages/users/UserPage.vue'), 'admin'),
      page('users/:id', 'nav.users', () => import('@/pages/users/UserPage.vue'), 'viewer'),
      page('usage', 'nav.usage', () => import('@/pages/usage/UsagePage.vue')),
      page('usage/refusals', 'refusals.title', () => import('@/pages/refusals/RefusalsPage.vue')),
      page('usage/:requestId', 'usage.request', () => import('@/pages/usage/RequestPage.vue')),
      page('nodes', 'nav.nodes', () => import('@/pages/nodes/NodesPage.vue'), 'viewer'),
      page('nodes/rejected', 'rejected.title', () => import('@/pages/nodes/RejectedPage.vue'), 'viewer'),
      page('model-routes', 'nav.models', () => import('@/pages/models/ModelRoutesPage.vue'), 'viewer'),
      page('model-routes/new', 'models.newRoute', () => import('@/pages/models/ModelRoutePage.vue'), 'operator'),
      page('model-routes/:id', 'models.route', () => import('@/pages/models/ModelRoutePage.vue'), 'viewer'),
      page('model-mappings', 'nav.models', () => import('@/pages/models/ModelMappingsPage.vue'), 'viewer'),
      page('model-mappings/new', 'models.newMapping', () => import('@/pages/models/ModelMappingPage.vue'), 'operator'),
      page('model-mappings/:id', 'models.mapping', () => import('@/pages/models/ModelMappingPage.vue'), 'viewer'),
      page('settings', 'nav.settings', () => import('@/pages/settings/SettingsPage.vue'), 'viewer'),
      page('proxy-test', 'nav.proxyTest', () => import('@/pages/proxy-test/ProxyTestPage.vue')),
      page('profile', 'nav.profile', () => import('@/pages/profile/ProfilePage.vue')),
      page(':rest(.*)*', 'nav.notFound', () => import('@/pages/NotFoundPage.vue')),
    ],
  },
]

export function makeRouter() {
  const router = createRouter({
    history: createWebHistory(),
    routes,
    scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? false : { top: 0 }),
  })
  router.beforeEach(async (to) => {
    const session = useSession()
    // A server that is away is no reason to sign out: the page shows the banner and loads once it is back.
    const isSignedIn = await session.restore().catch(() => null)
    if (to.meta.isPublic) return isSignedIn === true && !session.isLeaving ? '/' : true
    if (isSignedIn === false) return { path: '/login', query: to.fullPath === '/' ? {} : { then: to.fullPath } }
    if (isSignedIn && to.meta.least !== undefined && !session.may(to.meta.least)) return '/'
    return true
  })
  router.onError((_, to) => void goAgain(router, to.fullPath))
  return router
}

/**
 * A page's code could not be loaded. With the server away, it is tried again once it is back; with the server there, it
 * serves a newer build of these pages, which a whole load brings.
 */
async function goAgain(router: Router, path: string) {
  if (await isReachable()) return loadOnce(path)
  const stop = watch(recoveries, () => {
    stop()
    void router.push(path).catch(() => loadOnce(path))
  })
}

const LOADED = 'switchyard.loaded'

/** What a whole load does not mend, another one does not either. */
function loadOnce(path: string) {
  if (sessionStorage.getItem(LOADED) === path) return sessionStorage.removeItem(LOADED)
  sessionStorage.setItem(LOADED, path)
  location.assign(path)
}
