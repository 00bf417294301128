/** Server-sent events out of bytes, however these are cut. */
export interface ServerEvent {
  readonly event: string
  readonly data: string
  readonly id: string | undefined
}

/** Read `body` to its end; an event whose blank line never came is none. */
export async function* serverEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      rest += decoder.decode(value, { stream: true })
      const parts = rest.split(/\r?\n\r?\n/u)
      rest = parts.pop() ?? ''
      for (const part of parts) {
        const event = oneEvent(part)
        if (event) yield event
      }
    }
  } finally {
    // Whoever reads no further wants nothing more: the upstream is to hear of that.
    await reader.cancel().catch(() => undefined)
  }
}

/** The event that `lines` describe; undefined for a mere comment. */
export function oneEvent(lines: string): ServerEvent | undefined {
  let event = 'message'
  let id: string | undefined
  const data: string[] = []
  for (const line of lines.split(/\r?\n/u)) {
    const colon = line.indexOf(':')
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /u, '')
    if (name === 'event') event = value
    else if (name === 'data') data.push(value)
    else if (name === 'id') id = value
  }
  return data.length ? { event, data: data.join('\n'), id } : undefined
}
