/** Which requests are looked for, as the address of the page says it. */
import type { Request } from './requests'

export interface Search {
  readonly text: string
  readonly state: '' | 'running' | 'ok' | 'failed'
}

export function searchOf(query: Readonly<Record<string, unknown>>): Search {
  const state = String(query['state'] ?? '')
  const known = state === 'running' || state === 'ok' || state === 'failed' ? state : ''
  return { text: String(query['q'] ?? ''), state: known }
}

export function queryOf(search: Search): Record<string, string> {
  return { ...(search.text ? { q: search.text } : {}), ...(search.state ? { state: search.state } : {}) }
}

export function stateOf(request: Request): 'running' | 'ok' | 'failed' {
  if (request.phase !== 'ended') return 'running'
  return request.result === 'ok' ? 'ok' : 'failed'
}

/** Those that are looked for, the latest one first. */
export function found(all: Iterable<Request>, search: Search): Request[] {
  const wanted = search.text.toLowerCase().split(/\s+/u).filter(Boolean)
  const matching = [...all].filter((each) => {
    if (search.state && stateOf(each) !== search.state) return false
    if (!wanted.length) return true
    const said = `${each.id} ${each.model} ${each.deployment} ${each.caller} ${each.surface} ${each.error}`.toLowerCase()
    return wanted.every((word) => said.includes(word))
  })
  return matching.reverse()
}
