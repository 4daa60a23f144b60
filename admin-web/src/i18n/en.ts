import type { Messages } from '.'
import { byArea } from './areas'

export default byArea(import.meta.glob<Messages>('./en/*.json', { eager: true, import: 'default' }))
