/** Requests as they go by: where those that run are, and what became of the latest ones. */
import type { EndedAttempt, EndedRequest, RouterEvent, Usage } from '../api/types'

export type Phase = 'queued' | 'choosing' | 'connecting' | 'streaming' | 'pausing' | 'ended'

export interface Attempt {
  readonly number: number
  readonly deployment: string
  /** Seconds since 1970. */
  readonly begun: number
  readonly firstToken: number | null
  readonly seconds: number | null
  readonly outcome: string
  readonly error: string
  readonly detail: string
  readonly status: number | null
  readonly hedge: boolean
}

export interface Request {
  readonly id: string
  readonly at: number
  readonly phase: Phase
  readonly operation: string
  readonly model: string
  readonly caller: string
  readonly surface: string
  readonly deployment: string
  readonly result: string
  readonly error: string
  readonly detail: string
  readonly seconds: number | null
  readonly usage: Usage | null
  readonly microcents: number | null
  readonly attempts: readonly Attempt[]
}

/** The latest requests, the last one that began first. */
export interface Requests {
  readonly byId: ReadonlyMap<string, Request>
  readonly most: number
}

export const none: Requests = { byId: new Map(), most: 5_000 }

/** What the gateway kept, as a beginning; what is known already stays where it says more. */
export function remembered(requests: Requests, kept: readonly EndedRequest[]): Requests {
  const byId = new Map(requests.byId)
  for (const each of [...kept].reverse()) byId.set(each.id, fromKept(each))
  return { ...requests, byId: bounded(byId, requests.most) }
}

/** A request that runs, as the gateway lists it. */
export interface Running {
  readonly id: string
  readonly model: string
  readonly caller: string
  readonly seconds: number
  readonly phase: 'queued' | 'waiting' | 'streaming' | 'pausing'
  /** Of which something has come; "" before. */
  readonly deployment: string
}

/**
 * What runs, after a time without news: what is said to run and does not is forgotten, and what runs unheard of is known.
 *
 * @param now - seconds since 1970
 */
export function withRunning(requests: Requests, running: readonly Running[], now: number): Requests {
  const byId = new Map(requests.byId)
  const ids = new Set(running.map((each) => each.id))
  for (const [id, each] of byId) {
    if (each.phase !== 'ended' && !ids.has(id)) byId.delete(id)
  }
  for (const { id, model, caller, seconds, phase, deployment } of running) {
    if (byId.has(id)) continue
    const request = started({ type: '', at: now - seconds, request_id: id, model, caller })
    byId.set(id, { ...request, phase: phase === 'waiting' ? 'connecting' : phase, deployment })
  }
  return { ...requests, byId }
}

/**
 * What is known after `events`. The map is a new one, its members are those of before where nothing is said of them.
 */
export function after(requests: Requests, events: readonly RouterEvent[]): Requests {
  const byId = new Map(requests.byId)
  for (const event of events) {
    if (!event.request_id) continue
    const before = byId.get(event.request_id)
    const now = next(before, event)
    if (now) byId.set(event.request_id, now)
  }
  return { ...requests, byId: bounded(byId, requests.most) }
}

function bounded(byId: Map<string, Request>, most: number): Map<string, Request> {
  for (const id of byId.keys()) {
    if (byId.size <= most) break
    byId.delete(id)
  }
  return byId
}

function next(before: Request | undefined, event: RouterEvent): Request | undefined {
  if (event.type === 'request_started') return started(event)
  if (!before) return undefined
  switch (event.type) {
    case 'queued':
      return { ...before, phase: 'queued' }
    case 'model_selected':
      return { ...before, phase: 'choosing' }
    case 'attempt_started':
      return {
        ...before,
        phase: 'connecting',
        deployment: event.deployment ?? '',
        attempts: [...before.attempts, attempt(event)],
      }
    case 'first_token':
      return { ...withAttempt(before, event, { firstToken: event.seconds ?? null }), phase: 'streaming' }
    case 'attempt_ended':
      return withAttempt(before, event, {
        firstToken: event.first_token ?? null,
        seconds: event.seconds ?? null,
        outcome: event.outcome ?? '',
        error: event.error ?? '',
        detail: event.detail ?? '',
        status: event.status ?? null,
      })
    case 'retry_planned':
      return { ...before, phase: 'pausing' }
    case 'request_ended':
      return {
        ...before,
        phase: 'ended',
        deployment: event.deployment ?? before.deployment,
        result: event.result ?? '',
        error: event.error ?? '',
        detail: event.detail ?? '',
        seconds: event.seconds ?? null,
        usage: event.usage ?? null,
        microcents: event.cost_microcents ?? null,
      }
    default:
      return before
  }
}

function started(event: RouterEvent): Request {
  return {
    id: event.request_id ?? '',
    at: event.at,
    phase: 'choosing',
    operation: event.operation ?? '',
    model: event.model ?? '',
    caller: event.caller ?? '',
    surface: event.tags?.['surface'] ?? '',
    deployment: '',
    result: '',
    error: '',
    detail: '',
    seconds: null,
    usage: null,
    microcents: null,
    attempts: [],
  }
}

function attempt(event: RouterEvent): Attempt {
  return {
    number: event.number ?? 0,
    deployment: event.deployment ?? '',
    begun: event.at,
    firstToken: null,
    seconds: null,
    outcome: '',
    error: '',
    detail: '',
    status: null,
    hedge: event.hedge ?? false,
  }
}

function withAttempt(request: Request, event: RouterEvent, change: Partial<Attempt>): Request {
  const attempts = request.attempts.map((each) => (each.number === event.number ? { ...each, ...change } : each))
  return { ...request, attempts }
}

function fromKept(kept: EndedRequest): Request {
  const at = Date.parse(kept.at) / 1_000
  return {
    id: kept.id,
    at,
    phase: 'ended',
    operation: kept.operation,
    model: kept.model,
    caller: kept.caller,
    surface: kept.tags['surface'] ?? '',
    deployment: kept.deployment,
    result: kept.result,
    error: kept.error,
    detail: kept.detail,
    seconds: kept.seconds,
    usage: kept.usage,
    microcents: kept.cost_microcents,
    attempts: kept.attempts.map((each, index) => fromKeptAttempt(each, index, at)),
  }
}

function fromKeptAttempt(kept: EndedAttempt, index: number, at: number): Attempt {
  return {
    number: index + 1,
    deployment: kept.deployment,
    begun: at,
    firstToken: kept.first_token,
    seconds: kept.seconds,
    outcome: kept.outcome,
    error: kept.error,
    detail: kept.detail,
    status: kept.status,
    hedge: kept.hedge,
  }
}
