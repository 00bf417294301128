import { expect, test } from 'vitest'
import { pause } from '../src/api/events'
import type { RouterEvent, Status } from '../src/api/types'
import { counted, quantile, recent } from '../src/live/minutes'
import { after, none, withRunning } from '../src/live/requests'
import { troubles } from '../src/live/troubles'

const started = (id: string, at = 100): RouterEvent => ({ type: 'request_started', at, request_id: id, model: 'm', operation: 'chat' })

function played(...events: RouterEvent[]) {
  return after(none, events)
}

test('a request goes through its phases, and its attempts say what became of them', () => {
  const more = { at: 101, request_id: 'a', model: 'm' }
  const phases: string[] = []
  let requests = played(started('a'))
  const then = [
    { ...more, type: 'queued' },
    { ...more, type: 'attempt_started', deployment: 'x', number: 1 },
    { ...more, type: 'attempt_ended', deployment: 'x', number: 1, outcome: 'upstream_fault', status: 503, seconds: 0.2 },
    { ...more, type: 'retry_planned', number: 1, delay: 0.1 },
    { ...more, type: 'attempt_started', deployment: 'y', number: 2 },
    { ...more, type: 'first_token', deployment: 'y', number: 2, seconds: 0.3 },
    { ...more, type: 'request_ended', deployment: 'y', result: 'ok', seconds: 1 },
  ]
  for (const event of then) {
    requests = after(requests, [event])
    phases.push(requests.byId.get('a')!.phase)
  }
  expect(phases).toEqual(['queued', 'connecting', 'connecting', 'pausing', 'connecting', 'streaming', 'ended'])
  const { attempts, result } = requests.byId.get('a')!
  expect(result).toBe('ok')
  expect(attempts.map((each) => [each.deployment, each.outcome, each.status, each.firstToken])).toEqual([
    ['x', 'upstream_fault', 503, null],
    ['y', '', null, 0.3],
  ])
})

test('the oldest requests go when there are too many', () => {
  const few = after({ ...none, most: 2 }, [started('a'), started('b'), started('c')])
  expect([...few.byId.keys()]).toEqual(['b', 'c'])
})

test('what ended unheard is no longer said to run, and what began unheard is', () => {
  const running = ['b', 'c'].map((id) => ({ id, model: 'm', caller: 'x', seconds: 5 }))
  const all = withRunning(played(started('a'), started('b')), running, 200).byId
  expect([...all.values()].map((each) => [each.id, each.phase, each.at])).toEqual([
    ['b', 'choosing', 100],
    ['c', 'running', 195],
  ])
})

test('sums are those of the time that is asked for', () => {
  const ended = (at: number, error = ''): RouterEvent => ({
    type: 'request_ended', at, request_id: 'a', error, usage: { prompt: 2, completion: 3 }, cost_microcents: 7,
  })
  const history = counted([], [ended(1_000), ended(1_001, 'timeout'), ended(1_060), { type: 'attempt_ended', at: 1_060, first_token: 0.5 }])
  const minute = recent(history, 1_062, 60)
  expect(minute.requestsPerSecond).toBeCloseTo(1 / 60)
  expect(minute.tokensPerSecond).toBeCloseTo(5 / 60)
  expect(minute.firstTokens).toEqual([0.5])
  expect(recent(history, 1_062, 300).errors).toEqual({ timeout: 1 })
  expect(counted(history, [ended(1_060 + 3_600)])).toHaveLength(1)
})

test('a quantile is one of the values', () => {
  expect(quantile([], 0.5)).toBeNull()
  expect(quantile([3, 1, 2], 0.5)).toBe(2)
  expect(quantile([3, 1, 2], 0.95)).toBe(3)
})

test('pauses between connections grow, and are never the same for everybody', () => {
  expect([1, 2, 3, 20].map((each) => pause(each, 1))).toEqual([500, 1_000, 2_000, 15_000])
  expect(pause(1, 0)).toBe(250)
})

test('a model that nobody answers for comes before a deployment that is left alone', () => {
  const deployment = (id: string, blocked: string | null) => ({ id, state: 'up', blocked, refused: null })
  const model = (...deployments: object[]) => ({ deployments, degraded: null, queue: { waiting: 0 } })
  const status = {
    models: { a: model(deployment('x', null), deployment('y', 'breaker open')), b: model(deployment('z', 'disabled')) },
    configuration: null, state: null, budgets_trouble: '',
  } as unknown as Status
  expect(troubles(status).map((each) => [each.kind, each.subject, each.detail])).toEqual([
    ['model_down', 'b', 'disabled'],
    ['deployment', 'y', 'breaker open'],
  ])
})
