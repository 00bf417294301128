/** What the minutes of the last hour sum up to, by deployment, by model, by cause. */
import type { HistoryTold } from '../api/types'

export interface OfDeployment {
  /** Tokens of answers for each second in which it worked at one; null where nothing was counted. */
  readonly tokensPerSecond: number | null
  /** The part of what was asked that it had in its cache, from 0 to 1; null for none: whether it tells, nobody knows. */
  readonly cached: number | null
}

export function byDeployment(history: HistoryTold | null): ReadonlyMap<string, OfDeployment> {
  const sums = new Map<string, { prompt: number; cached: number; completion: number; busy: number }>()
  for (const minute of history?.minutes ?? []) {
    for (const [id, each] of Object.entries(minute.deployments)) {
      const sum = sums.get(id) ?? { prompt: 0, cached: 0, completion: 0, busy: 0 }
      sum.prompt += each.prompt_tokens
      sum.cached += each.cached_tokens
      sum.completion += each.completion_tokens
      sum.busy += each.busy_seconds
      sums.set(id, sum)
    }
  }
  const told = [...sums].map(([id, { prompt, cached, completion, busy }]): [string, OfDeployment] => [
    id,
    { tokensPerSecond: completion && busy ? completion / busy : null, cached: cached && prompt ? cached / prompt : null },
  ])
  return new Map(told)
}

/** How many answers of each model came from each of its deployments. */
export function answers(history: HistoryTold | null): Readonly<Record<string, Readonly<Record<string, number>>>> {
  const sums: Record<string, Record<string, number>> = {}
  for (const minute of history?.minutes ?? []) {
    for (const [model, from] of Object.entries(minute.answers)) {
      const sum = (sums[model] ??= {})
      for (const [id, count] of Object.entries(from)) sum[id] = (sum[id] ?? 0) + count
    }
  }
  return sums
}

/** Requests that ended in an error by who is at fault, and those that were refused, since `since`; most first. */
export function faults(history: HistoryTold | null, since: number): [string, number][] {
  const sums = new Map<string, number>()
  for (const minute of history?.minutes ?? []) {
    if (minute.at + (history?.seconds ?? 0) <= since) continue
    for (const [cause, count] of [...Object.entries(minute.errors), ...Object.entries(minute.refused)]) {
      sums.set(cause, (sums.get(cause) ?? 0) + count)
    }
  }
  return [...sums].sort((a, b) => b[1] - a[1])
}
