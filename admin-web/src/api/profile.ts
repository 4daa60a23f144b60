/** The signed-in person's own profile. */
import { getTagged, put } from './client'
import type { Schemas } from './types'

export const readProfile = () => getTagged('/api/profile')
export const updateProfile = (etag: string, change: Schemas['ProfileChange']) => put('/api/profile', etag, change)
export const changePassword = (etag: string, change: Schemas['PasswordChange']) => put('/api/profile/password', etag, change)
