/** Sums over time: what the gateway knows of the last hour, minute by minute, and what is heard since, in shorter steps. */
import type { HistoryTold, RouterEvent } from '../api/types'

/** A value, and how often it came. */
export type Counted = readonly [value: number, count: number]

export interface Step {
  /** Seconds since 1970. */
  readonly at: number
  readonly until: number
  readonly requests: number
  readonly tokens: number
  readonly microcents: number
  /** Seconds. */
  readonly firstTokens: readonly Counted[]
}

/** Steps in which nothing happened are left out. */
export interface History {
  /** Before then nothing is known; seconds since 1970. */
  readonly since: number
  /** Until then the gateway told it; what came later was heard. */
  readonly told: number
  readonly steps: readonly Step[]
}

export const MINUTE = 60
export const HEARD_STEP = 10
const HOUR = 3_600

export const nothing: History = { since: 0, told: 0, steps: [] }

/** What the gateway tells of the last hour. */
export function told(history: HistoryTold): History {
  const steps = history.minutes.map((each) => ({
    at: Math.max(each.at, history.since),
    until: Math.min(each.at + MINUTE, history.now),
    requests: each.requests,
    tokens: each.prompt_tokens + each.completion_tokens,
    microcents: each.cost_microcents,
    firstTokens: each.first_token_ms.map(([ms, count]): Counted => [ms / 1_000, count]),
  }))
  return { since: history.since, told: history.now, steps }
}

/** With what `events` say that came after what was told. */
export function counted(history: History, events: readonly RouterEvent[]): History {
  const steps = new Map(history.steps.map((each) => [each.at, each]))
  let latest = history.steps.at(-1)?.at ?? 0
  for (const event of events) {
    if (event.type !== 'request_ended' && event.type !== 'attempt_ended') continue
    if (event.at <= history.told) continue
    const at = Math.max(down(event.at, HEARD_STEP), history.told)
    latest = Math.max(latest, at)
    steps.set(at, withEvent(steps.get(at) ?? empty(at, down(at, HEARD_STEP) + HEARD_STEP), event))
  }
  const kept = [...steps.values()].filter((each) => each.at > latest - HOUR).sort((a, b) => a.at - b.at)
  return { ...history, steps: kept }
}

function withEvent(step: Step, event: RouterEvent): Step {
  if (event.type === 'attempt_ended') {
    return event.first_token == null ? step : { ...step, firstTokens: [...step.firstTokens, [event.first_token, 1]] }
  }
  return {
    ...step,
    requests: step.requests + 1,
    tokens: step.tokens + (event.usage?.prompt ?? 0) + (event.usage?.completion ?? 0),
    microcents: step.microcents + (event.cost_microcents ?? 0),
  }
}

/** The last hour without holes, the earliest step first; the step that is not over yet is left out. */
export function filled(history: History, now: number): Step[] {
  const known = new Map(history.steps.map((each) => [each.at, each]))
  const found: Step[] = []
  let at = beginning(history, now)
  while (at < now) {
    const size = at < history.told ? MINUTE : HEARD_STEP
    const next = down(at, size) + size
    const until = at < history.told ? Math.min(next, history.told) : next
    if (until > now) break
    found.push(known.get(at) ?? empty(at, until))
    at = until
  }
  return found
}

function beginning(history: History, now: number): number {
  const earliest = now - HOUR
  if (history.since >= earliest) return history.since
  if (history.told > earliest) return Math.min(history.told, down(earliest, MINUTE) + MINUTE)
  return down(earliest, HEARD_STEP) + HEARD_STEP
}

/** What the latest `seconds` before `now`, or the shortest time over that which is known, sum up to. */
export function recent(history: History, now: number, seconds: number): {
  readonly requestsPerSecond: number | null
  readonly tokensPerSecond: number | null
  readonly firstTokens: readonly Counted[]
} {
  const steps = filled(history, now).filter((each) => each.until > now - seconds)
  const whole = steps.length ? steps.at(-1)!.until - steps[0]!.at : 0
  const rate = (of: (step: Step) => number): number | null =>
    whole ? steps.reduce((total, step) => total + of(step), 0) / whole : null
  return {
    requestsPerSecond: rate((step) => step.requests),
    tokensPerSecond: rate((step) => step.tokens),
    firstTokens: steps.flatMap((step) => step.firstTokens),
  }
}

/** The value that `share` of `values` do not exceed; null where there is none. */
export function quantile(values: readonly Counted[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a[0] - b[0])
  let left = Math.ceil(share * sorted.reduce((sum, [, count]) => sum + count, 0))
  for (const [value, count] of sorted) {
    left -= count
    if (left <= 0) return value
  }
  return null
}

function empty(at: number, until: number): Step {
  return { at, until, requests: 0, tokens: 0, microcents: 0, firstTokens: [] }
}

function down(at: number, size: number): number {
  return Math.floor(at / size) * size
}
