/** Who is signed in, and whether they must sign in again. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import { endAllSessions, readProfile } from '@/api/profile'
import { Problem } from '@/api/problem'
import * as login from '@/api/session'
import type { Schemas } from '@/api/types'
import { chosenLanguage, usePreferences } from './preferences'

export type Role = Schemas['Role']

/** From the least to the highest; each may do what those before it may. */
export const ROLES: Role[] = ['user', 'viewer', 'operator', 'admin']

export const useSession = defineStore('session', () => {
  const profile = shallowRef<login.Profile | null>(null)
  /** The login ended while a page was open: `SignInAgain` shows itself over it. */
  const isExpired = ref(false)
  /** On the way out: the login page is open to who is still signed in. */
  const isLeaving = ref(false)
  const preferences = usePreferences()
  let waiting: { resolve: () => void; reject: (reason: Problem) => void }[] = []

  const role = computed(() => profile.value?.role ?? 'user')

  function may(least: Role) {
    return ROLES.indexOf(role.value) >= ROLES.indexOf(least)
  }

  login.whenExpired(() => {
    if (profile.value === null) return Promise.reject(new Problem(401, 'not_signed_in', 'sign in first'))
    isExpired.value = true
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
  })

  /** After a reload: finds out who is signed in. False: nobody. */
  async function restore(): Promise<boolean> {
    profile.value ??= await login.restore()
    return profile.value !== null
  }

  /** After the person changed something of themselves. */
  async function reread() {
    profile.value = (await readProfile()).value
  }

  async function signIn(username: string, password: string) {
    const signedIn = await login.signIn(username, password)
    const before = profile.value
    if (before !== null && before.id !== signedIn.id) return location.assign('/')
    // Their own language; after signing in again the page stays as it was.
    if (before === null && signedIn.language) await preferences.setLanguage(chosenLanguage(signedIn.language)).catch(() => null)
    profile.value = signedIn
    isExpired.value = false
    const resumed = waiting
    waiting = []
    for (const { resolve } of resumed) resolve()
  }

  /** What waits for the login is given up. */
  function forget() {
    profile.value = null
    isExpired.value = false
    const givenUp = waiting
    waiting = []
    for (const { reject } of givenUp) reject(new Problem(401, 'not_signed_in', 'sign in first'))
  }

  async function signOut() {
    await login.signOut()
    forget()
  }

  async function signOutEverywhere() {
    await endAllSessions()
    login.forget()
    forget()
  }

  return { profile, role, isExpired, isLeaving, may, restore, reread, signIn, signOut, signOutEverywhere, forget }
})
