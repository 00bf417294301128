/** A model that is fetched by its server, step by step. */
import { Problem, type Gateway } from './http'
import { serverEvents } from './sse'

export interface PullStep {
  readonly status: string
  readonly part: string
  readonly total: number | null
  readonly completed: number | null
}

/** Where the model `id` (provider/model) is; its slashes stay. */
export function placeOf(id: string): string {
  return `/admin/v1/models/${id.split('/').map(encodeURIComponent).join('/')}`
}

/** Pull `id` (provider/model), and hear of each step; ended by `signal`, the server keeps what has come. Raises Problem. */
export async function pull(gateway: Gateway, id: string, heard: (step: PullStep) => void, signal: AbortSignal): Promise<void> {
  const response = await gateway.send(`${placeOf(id)}/pull`, { method: 'POST', signal })
  for await (const { event, data } of serverEvents(response.body!)) {
    const said: unknown = JSON.parse(data)
    if (event === 'done') return
    if (event === 'error') {
      const { message, code } = said as { message: string; code: string }
      throw new Problem(message, response.status, code)
    }
    heard(said as PullStep)
  }
  throw new Problem('the answer ended before the model was there', response.status, 'cut')
}
