/** The signed-in person's own profile. */
import { get, getTagged, put, remove } from './client'
import type { Schemas } from './types'

export type Session = Schemas['SessionView']

export const readProfile = () => getTagged('/api/profile')
export const updateProfile = (etag: string, change: Schemas['ProfileChange']) => put('/api/profile', etag, change)
export const changePassword = (etag: string, change: Schemas['PasswordChange']) => put('/api/profile/password', etag, change)

export const listSessions = () => get('/api/profile/sessions')
export const endSession = (id: string) => remove('/api/profile/sessions/{id}', { names: { id } })
export const endAllSessions = () => remove('/api/profile/sessions')
