/** Findings of a review, out of whatever a model made of the shape it was asked for. */
export const SEVERITIES = ['error', 'warning', 'note'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Finding {
  /** From 1; 0 where it is about no line. */
  readonly line: number
  readonly severity: Severity
  readonly title: string
  readonly detail: string
  readonly suggestion: string
}

const MOST = 500

/** Those in `answer`, by line; null where there is no list of findings in it. */
export function findings(answer: string, lines: number): Finding[] | null {
  const list = listIn(answer)
  if (!list) return null
  const found = list.slice(0, MOST).flatMap((each) => one(each, lines) ?? [])
  return found.sort((a, b) => a.line - b.line || SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
}

function listIn(answer: string): unknown[] | null {
  const from = answer.indexOf('[')
  // Text may follow the list, with brackets of its own: the longest part that is JSON counts.
  for (let to = answer.lastIndexOf(']'); from !== -1 && to > from; to = answer.lastIndexOf(']', to - 1)) {
    try {
      const read: unknown = JSON.parse(answer.slice(from, to + 1))
      if (Array.isArray(read)) return read
    } catch {
      continue
    }
  }
  return null
}

function one(each: unknown, lines: number): Finding | null {
  if (typeof each !== 'object' || each === null) return null
  const { line, severity, title, detail, suggestion } = each as Record<string, unknown>
  if (typeof title !== 'string' || !title.trim()) return null
  const at = Number(line)
  return {
    line: Number.isInteger(at) && at >= 1 && at <= lines ? at : 0,
    severity: SEVERITIES.find((known) => known === severity) ?? 'note',
    title: title.trim(),
    detail: typeof detail === 'string' ? detail : '',
    suggestion: typeof suggestion === 'string' ? suggestion : '',
  }
}
