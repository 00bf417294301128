/** The gateway's events, one connection after the other: gone on behind the last one, and none while nobody looks. */
import { Problem, type Gateway } from './http'
import { serverEvents } from './sse'

export interface Heard {
  readonly onEvent: (type: string, data: unknown) => void
  /** Whether events come now; after `false` some may be missing when it is `true` again. */
  readonly onLink: (connected: boolean, problem: Problem | null) => void
}

const FIRST_PAUSE = 500
const LONGEST_PAUSE = 15_000

/** How long to wait before trial number `failures`, in milliseconds; `chance` is from 0 to 1. */
export function pause(failures: number, chance: number): number {
  return Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1)) * (0.5 + chance / 2)
}

/** Hear events until `stop` is aborted, or a key is asked for. */
export async function hear(gateway: Gateway, heard: Heard, stop: AbortSignal): Promise<void> {
  let last: string | undefined
  let failures = 0
  while (!stop.aborted) {
    await looked(stop)
    const link = new AbortController()
    const end = (): void => link.abort()
    const hidden = (): void => {
      if (document.hidden) end()
    }
    stop.addEventListener('abort', end)
    document.addEventListener('visibilitychange', hidden)
    let problem: Problem | null = null
    try {
      const headers = last === undefined ? {} : { 'last-event-id': last }
      const response = await gateway.send('/admin/v1/events', { headers, signal: link.signal })
      failures = 0
      heard.onLink(true, null)
      for await (const event of serverEvents(response.body!)) {
        last = event.id ?? last
        heard.onEvent(event.event, JSON.parse(event.data))
      }
    } catch (error) {
      if (error instanceof Problem) problem = error
    } finally {
      stop.removeEventListener('abort', end)
      document.removeEventListener('visibilitychange', hidden)
    }
    if (stop.aborted) return
    failures += 1
    heard.onLink(false, problem)
    if (problem?.needsKey) return // nothing comes until somebody signs in
    if (!link.signal.aborted) await waited(pause(failures, Math.random()), stop)
  }
}

/** Until somebody looks at the page. */
function looked(stop: AbortSignal): Promise<void> {
  if (!document.hidden || stop.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      if (document.hidden && !stop.aborted) return
      document.removeEventListener('visibilitychange', done)
      resolve()
    }
    document.addEventListener('visibilitychange', done)
    stop.addEventListener('abort', done, { once: true })
  })
}

function waited(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    stop.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
  })
}
