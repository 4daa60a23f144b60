import type { Field } from '@/api/accounts'

/** What every input is told. */
export interface InputProps {
  path: string
  field: Field
  label: string
  /** A secret that is set, and stays when nothing is typed. */
  isKept?: boolean
}
