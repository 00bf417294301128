/** One way to ask the gateway anything: the header that its operators' requests need, and errors as values. */

/** What went wrong: in the gateway's words, or that it could not be reached (`status` 0). */
export class Problem extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly body: unknown = null,
  ) {
    super(message)
    this.name = 'Problem'
  }

  /** Whether a key has to be given first. */
  get needsKey(): boolean {
    return this.status === 401
  }
}

export interface Asked {
  readonly method?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

const CSRF = 'x-pointsman-csrf'

/** The gateway that served this page. */
export class Gateway {
  /** What a session has to say with each request; who asks without a key says `1`, which no other page can. */
  private csrf = '1'

  useCsrf(token: string | null): void {
    this.csrf = token ?? '1'
  }

  /** The answer as JSON. Raises Problem. */
  async ask<T>(path: string, asked: Asked = {}): Promise<T> {
    const response = await this.send(path, asked)
    return (response.status === 204 ? undefined : await response.json()) as T
  }

  /** The answer as it comes. Raises Problem, also for an answer that is an error. */
  async send(path: string, asked: Asked = {}): Promise<Response> {
    const headers: Record<string, string> = { [CSRF]: this.csrf, ...asked.headers }
    if (asked.body !== undefined) headers['content-type'] = 'application/json'
    let response: Response
    try {
      response = await fetch(path, {
        method: asked.method ?? (asked.body === undefined ? 'GET' : 'POST'),
        headers,
        credentials: 'same-origin',
        cache: 'no-store',
        ...(asked.body === undefined ? {} : { body: JSON.stringify(asked.body) }),
        ...(asked.signal === undefined ? {} : { signal: asked.signal }),
      })
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') throw error
      throw new Problem('the gateway does not answer', 0, 'unreachable')
    }
    if (!response.ok) throw await problemOf(response)
    return response
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null)
  const error = (body as { error?: { message?: string; code?: string; type?: string } } | null)?.error
  const message = error?.message ?? `the gateway answered with ${response.status}`
  return new Problem(message, response.status, error?.code ?? error?.type ?? 'http', body)
}
