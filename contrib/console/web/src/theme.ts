/** Light or dark: as the person chose, else as the system has it. */
import { keptHere } from './live/store'

export type Theme = 'light' | 'dark' | 'system'

const KEY = 'pointsman.theme'
const dark = matchMedia('(prefers-color-scheme: dark)')

export const theme = keptHere<{ chosen: Theme }>(KEY, { chosen: 'system' })

export function paint(chosen: Theme = theme.chosen): void {
  theme.chosen = chosen
  localStorage.setItem(KEY, JSON.stringify(theme))
  document.documentElement.dataset['theme'] = chosen === 'system' ? (dark.matches ? 'dark' : 'light') : chosen
}

dark.addEventListener('change', () => paint())
