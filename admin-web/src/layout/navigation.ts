/** What the side bar lists, in its order. */
import { Connection, Cpu, DataLine, Key, List, Operation, Promotion, Setting, Tickets, User, UserFilled } from '@element-plus/icons-vue'
import type { Component } from 'vue'
import type { Role } from '@/stores/session'

export interface Entry {
  path: string
  title: string
  icon: Component
  least?: Role
}

export const NAVIGATION: Entry[] = [
  { path: '/', title: 'nav.dashboard', icon: DataLine },
  { path: '/accounts', title: 'nav.accounts', icon: Connection, least: 'viewer' },
  { path: '/account-groups', title: 'nav.accountGroups', icon: Tickets, least: 'viewer' },
  { path: '/api-keys', title: 'nav.apiKeys', icon: Key },
  { path: '/users', title: 'nav.users', icon: User, least: 'viewer' },
  { path: '/usage', title: 'nav.usage', icon: List },
  { path: '/nodes', title: 'nav.nodes', icon: Cpu, least: 'viewer' },
  { path: '/model-routes', title: 'nav.models', icon: Operation, least: 'viewer' },
  { path: '/settings', title: 'nav.settings', icon: Setting, least: 'viewer' },
  { path: '/proxy-test', title: 'nav.proxyTest', icon: Promotion },
  { path: '/profile', title: 'nav.profile', icon: UserFilled },
]

/** Whether the entry is the one that a page belongs to. */
export function isCurrent(entry: Entry, path: string) {
  if (entry.path === '/model-routes' && path.startsWith('/model-mappings')) return true
  return entry.path === '/' ? path === '/' : path === entry.path || path.startsWith(`${entry.path}/`)
}
