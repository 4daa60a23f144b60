/** What is wrong with a change of password, found before it is sent. */
import { wrongPassword } from '@/pages/users/rules'

export interface PasswordDraft {
  current_password: string
  new_password: string
  repeated: string
}

/** `message` is a key. */
export function wrongChange({ current_password, new_password, repeated }: PasswordDraft): { field: keyof PasswordDraft; message: string }[] {
  const wrong = wrongPassword(new_password)
  return [
    ...(current_password === '' ? [{ field: 'current_password' as const, message: 'form.required' }] : []),
    ...(wrong === null ? [] : [{ field: 'new_password' as const, message: `users.wrong.${wrong}` }]),
    ...(wrong === null && repeated !== new_password ? [{ field: 'repeated' as const, message: 'profile.wrong.different' }] : []),
  ]
}
