/** Deployments as rows: one of several models stands once for each. */
import type { Deployment, Status } from '../api/types'
import { isReady } from './troubles'

export interface Row {
  readonly model: string
  readonly deployment: Deployment
}

/** All of them, those that get no calls first within their model. */
export function rows(status: Status): Row[] {
  return Object.entries(status.models).flatMap(([model, { deployments }]) =>
    [...deployments]
      .sort((a, b) => Number(isReady(a)) - Number(isReady(b)))
      .map((deployment) => ({ model, deployment })),
  )
}

/** Those in whose names, models, states or reasons all words of `text` stand. */
export function matching(all: readonly Row[], text: string): readonly Row[] {
  const wanted = text.toLowerCase().split(/\s+/u).filter(Boolean)
  if (!wanted.length) return all
  return all.filter(({ model, deployment: each }) => {
    const said = [model, each.id, each.state, each.blocked, each.refused, each.breaker?.state].join(' ').toLowerCase()
    return wanted.every((word) => said.includes(word))
  })
}

export type Action = 'drain' | 'disable' | 'enable' | 'reset'

/** What takes an action back; null for what cannot be. */
export function opposite(action: Action): Action | null {
  return { drain: 'enable', disable: 'enable', enable: 'disable', reset: null }[action] as Action | null
}
