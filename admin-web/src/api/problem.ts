/** One field of what was sent, and what is wrong with it. `field` is a path such as `credentials.api_key`. */
export interface FieldError {
  field: string
  message: string
}

/** A refusal of the server (RFC 9457), or that it could not be reached (`code` is then `unreachable`, status 0). */
export class Problem extends Error {
  override name = 'Problem'

  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly errors: readonly FieldError[] = [],
    /** Seconds to wait, where the server said so. */
    readonly retryAfter: number | null = null,
  ) {
    super(`${code}: ${detail}`)
  }

  static unreachable() {
    return new Problem(0, UNREACHABLE, 'the server cannot be reached')
  }

  /** As the server's own, for what is found wrong before it is asked. */
  static invalid(errors: readonly FieldError[]) {
    return new Problem(422, 'invalid_fields', errors.map(({ message }) => message).join('; '), errors)
  }

  /** What a response that is no success says. */
  static async of(response: Response): Promise<Problem> {
    const retryAfter = Number.parseInt(response.headers.get('retry-after') ?? '', 10)
    const wait = Number.isNaN(retryAfter) ? null : retryAfter
    const said: unknown = await response.json().catch(() => null)
    if (!isProblemBody(said)) return new Problem(response.status, 'no_problem_body', response.statusText, [], wait)
    return new Problem(response.status, said.code, said.detail, said.errors ?? [], wait)
  }

  /** For whatever was thrown. */
  static from(thrown: unknown): Problem {
    if (thrown instanceof Problem) return thrown
    return new Problem(0, 'unexpected', thrown instanceof Error ? thrown.message : String(thrown))
  }
}

export const UNREACHABLE = 'unreachable'

interface ProblemBody {
  code: string
  detail: string
  errors?: FieldError[]
}

function isProblemBody(said: unknown): said is ProblemBody {
  return typeof said === 'object' && said !== null && 'code' in said && 'detail' in said
}
