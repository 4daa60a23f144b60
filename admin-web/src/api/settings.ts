/** What is set for the whole installation. */
import { getTagged, put } from './client'
import type { Schemas } from './types'

export type Settings = Schemas['Settings']
export type SettingsChange = Schemas['SettingsChange']

export const readSettings = () => getTagged('/api/admin/settings')
export const updateSettings = (etag: string, change: SettingsChange) => put('/api/admin/settings', etag, change)
