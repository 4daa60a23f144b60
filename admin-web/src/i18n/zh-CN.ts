import type { Messages } from '.'
import { byArea } from './areas'

export default byArea(import.meta.glob<Messages>('./zh-CN/*.json', { eager: true, import: 'default' }))
