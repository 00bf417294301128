/** What was just done, said at the foot of the page, with a way back where there is one. */
import { shallowReactive } from 'vue'

export interface Notice {
  readonly text: string
  readonly bad: boolean
  readonly undo: (() => Promise<void>) | null
}

const SHOWN_MS = 10_000

export const notices = shallowReactive<{ last: Notice | null }>({ last: null })
let timer: ReturnType<typeof setTimeout> | undefined

export function tell(text: string, undo: Notice['undo'] = null): void {
  show({ text, bad: false, undo })
}

/** Say what did not work; it stays until it is closed. */
export function complain(text: string): void {
  show({ text, bad: true, undo: null })
}

export function dismiss(): void {
  clearTimeout(timer)
  notices.last = null
}

function show(notice: Notice): void {
  clearTimeout(timer)
  notices.last = notice
  if (!notice.bad) timer = setTimeout(dismiss, SHOWN_MS)
}
