/** Sums over time: how many requests, tokens and errors there were in each step of the last hour. */
import type { EndedRequest, RouterEvent } from '../api/types'

export interface Step {
  /** The number of the step since 1970. */
  readonly number: number
  requests: number
  tokens: number
  microcents: number
  errors: Record<string, number>
  firstTokens: number[]
}

export const STEP_SECONDS = 10
const STEPS = 360

/** The last hour in steps of ten seconds; steps in which nothing happened are left out. */
export type History = readonly Step[]

/** With what `events` say; only what ended counts. */
export function counted(history: History, events: readonly RouterEvent[]): History {
  const steps = new Map(history.map((each) => [each.number, each]))
  let latest = history.at(-1)?.number ?? 0
  const touched = new Set<number>()
  for (const event of events) {
    if (event.type !== 'request_ended' && event.type !== 'attempt_ended') continue
    const number = Math.floor(event.at / STEP_SECONDS)
    latest = Math.max(latest, number)
    if (!touched.has(number)) steps.set(number, copied(steps.get(number), number))
    touched.add(number)
    addTo(steps.get(number)!, event)
  }
  return [...steps.values()].filter((each) => each.number > latest - STEPS).sort((a, b) => a.number - b.number)
}

function copied(step: Step | undefined, number: number): Step {
  if (!step) return { number, requests: 0, tokens: 0, microcents: 0, errors: {}, firstTokens: [] }
  return { ...step, errors: { ...step.errors }, firstTokens: [...step.firstTokens] }
}

function addTo(step: Step, event: RouterEvent): void {
  if (event.type === 'attempt_ended') {
    if (event.first_token != null) step.firstTokens.push(event.first_token)
    return
  }
  step.requests += 1
  step.tokens += (event.usage?.prompt ?? 0) + (event.usage?.completion ?? 0)
  step.microcents += event.cost_microcents ?? 0
  if (event.error) step.errors[event.error] = (step.errors[event.error] ?? 0) + 1
}

/** What was kept of requests, as the events that they were; they count as if they had been heard. */
export function fromKept(kept: readonly EndedRequest[]): RouterEvent[] {
  return [...kept].reverse().flatMap((each) => {
    const at = Date.parse(each.at) / 1_000 + each.seconds
    const attempts = each.attempts.map(({ first_token }) => ({ type: 'attempt_ended', at, first_token }))
    const { error, usage, cost_microcents } = each
    return [...attempts, { type: 'request_ended', at, error, usage, cost_microcents }]
  })
}

/** What the latest `seconds` before `now` sum up to, per second where that is meant. */
export function recent(history: History, now: number, seconds: number): {
  readonly requestsPerSecond: number
  readonly tokensPerSecond: number
  readonly errors: Readonly<Record<string, number>>
  readonly firstTokens: readonly number[]
} {
  const since = Math.floor(now / STEP_SECONDS) - seconds / STEP_SECONDS
  const steps = history.filter((each) => each.number > since)
  const errors: Record<string, number> = {}
  for (const step of steps) {
    for (const [kind, count] of Object.entries(step.errors)) errors[kind] = (errors[kind] ?? 0) + count
  }
  const sum = (of: (step: Step) => number): number => steps.reduce((total, step) => total + of(step), 0)
  return {
    requestsPerSecond: sum((step) => step.requests) / seconds,
    tokensPerSecond: sum((step) => step.tokens) / seconds,
    errors,
    firstTokens: steps.flatMap((step) => step.firstTokens),
  }
}

/** The value that `share` of `values` do not exceed; null where there is none. */
export function quantile(values: readonly number[], share: number): number | null {
  if (!values.length) return null
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!
}
