/** The conversations of the page, for its components. */
import { inject, type InjectionKey } from 'vue'
import type { Talks } from './talks'

export const TALKS: InjectionKey<Talks> = Symbol('talks')

/** Raises where a component stands outside of the page. */
export function useTalks(): Talks {
  const talks = inject(TALKS)
  if (!talks) throw new Error('no conversations are provided')
  return talks
}
