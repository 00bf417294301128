/** One answer of a model, as it comes. */
import { empty, told, type Answer, type Chunk } from '../chat/answer'
import type { Settings } from '../chat/conversation'
import { Problem, type Gateway } from './http'
import { serverEvents } from './sse'

/** The models that can be asked, with what is known of each. */
export interface Offered {
  readonly id: string
  readonly name: string
}

export async function offered(gateway: Gateway): Promise<Offered[]> {
  const { data } = await gateway.ask<{ data: { id: string; display_name?: string }[] }>('/v1/models')
  return data.map((each) => ({ id: each.id, name: each.display_name ?? each.id }))
}

/**
 * Ask for an answer; each state of it is given to `tell`, at most once in a frame, and the last one is returned.
 *
 * Aborting `stop` closes the request, so that the upstream is closed, too. Nothing is raised: what goes wrong is in the answer.
 */
export async function answered(
  gateway: Gateway,
  settings: Settings,
  messages: readonly object[],
  tell: (answer: Answer) => void,
  stop: AbortSignal,
): Promise<Answer> {
  const begun = performance.now()
  let answer: Answer = { ...empty(), facts: { model: settings.model } }
  let frame = 0
  const draw = (): void => {
    frame = 0
    tell(answer)
  }
  try {
    const response = await gateway.send('/v1/chat/completions', { body: body(settings, messages), signal: stop })
    answer = { ...answer, facts: { ...answer.facts, ...factsOf(response.headers) } }
    for await (const event of serverEvents(response.body!)) {
      if (event.data === '[DONE]') break
      answer = told(answer, JSON.parse(event.data) as Chunk, performance.now() - begun)
      frame ||= requestAnimationFrame(draw)
    }
    if (answer.ending === 'running') answer = { ...answer, ending: 'cut' }
  } catch (error) {
    const stopped = error instanceof DOMException && error.name === 'AbortError'
    // A connection that breaks in the middle is a TypeError of the reader.
    const problem = error instanceof Problem ? error.message : stopped ? '' : 'the connection to the gateway broke'
    answer = { ...answer, ending: stopped ? 'stopped' : answer.text ? 'cut' : 'failed', problem }
  }
  cancelAnimationFrame(frame)
  answer = { ...answer, facts: { ...answer.facts, totalMs: performance.now() - begun } }
  tell(answer)
  return answer
}

function body(settings: Settings, messages: readonly object[]): object {
  return {
    model: settings.model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    ...(settings.temperature === null ? {} : { temperature: settings.temperature }),
    ...(settings.maxTokens === null ? {} : { max_tokens: settings.maxTokens }),
  }
}

function factsOf(headers: Headers): Answer['facts'] {
  const deployment = headers.get('x-pointsman-deployment')
  const attempts = Number(headers.get('x-pointsman-attempts'))
  const requestId = headers.get('x-request-id')
  return {
    ...(deployment ? { deployment } : {}),
    ...(attempts ? { attempts } : {}),
    ...(requestId ? { requestId } : {}),
  }
}
