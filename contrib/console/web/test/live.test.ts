import { expect, test } from 'vitest'
import { pause } from '../src/api/events'
import type { HistoryTold, RouterEvent, Status } from '../src/api/types'
import { counted, filled, nothing, quantile, recent, told } from '../src/live/minutes'
import { after, none, withRunning } from '../src/live/requests'
import { answers, byDeployment, faults } from '../src/live/sums'
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
  const running = ['b', 'c'].map((id) => ({ id, model: 'm', caller: 'x', seconds: 5, phase: 'waiting' as const, deployment: '' }))
  const all = withRunning(played(started('a'), started('b')), running, 200).byId
  expect([...all.values()].map((each) => [each.id, each.phase, each.at])).toEqual([
    ['b', 'choosing', 100],
    ['c', 'connecting', 195],
  ])
})

const minute = (at: number, more: object = {}): HistoryTold['minutes'][number] => ({
  at, requests: 6, errors: {}, refused: {}, prompt_tokens: 12, completion_tokens: 18, cost_microcents: 7,
  first_token_ms: [[500, 4]], answers: {}, deployments: {}, ...more,
})
const past = (...minutes: HistoryTold['minutes']): HistoryTold =>
  ({ now: 1_225, since: 1_030, seconds: 60, lost: 0, minutes, changes: [] })
const ended = (at: number): RouterEvent => ({
  type: 'request_ended', at, request_id: 'a', error: '', usage: { prompt: 2, completion: 3 }, cost_microcents: 7,
})

test('what was told is not counted again when it is heard, and what comes later is', () => {
  const before = told(past(minute(1_020), minute(1_200)))
  const history = counted(before, [ended(1_224), ended(1_225), ended(1_226), ended(1_231)])
  expect(history.steps.map((each) => [each.at, each.until, each.requests])).toEqual([
    [1_030, 1_080, 6],
    [1_200, 1_225, 6],
    [1_225, 1_230, 1],
    [1_230, 1_240, 1],
  ])
})

test('the steps of the last hour follow each other without holes, whatever is asked when', () => {
  const history = counted(told(past(minute(1_200))), [ended(1_226), ended(1_300)])
  for (let now = 1_030; now < 1_225 + 2 * 3_600; now += 97) {
    const steps = filled(history, now)
    for (const [index, step] of steps.entries()) {
      expect(step.until).toBeGreaterThan(step.at)
      expect(step.until).toBeLessThanOrEqual(now)
      if (index) expect(step.at).toBe(steps[index - 1]!.until)
    }
  }
  expect(filled(history, 1_310).reduce((sum, each) => sum + each.requests, 0)).toBe(8)
  expect(filled(nothing, 0)).toEqual([])
})

test('a rate is over the time that is known, and unknown where none is', () => {
  const history = counted(told(past(minute(1_140), minute(1_200))), [ended(1_226)])
  const rates = recent(history, 1_230, 60)
  expect(rates.requestsPerSecond).toBeCloseTo(13 / 90)
  expect(rates.tokensPerSecond).toBeCloseTo(65 / 90)
  expect(rates.firstTokens).toEqual([[0.5, 4], [0.5, 4]])
  expect(recent(nothing, 0, 60).requestsPerSecond).toBeNull()
})

test('minutes sum up by deployment, by model and by who is at fault', () => {
  const deployment = { prompt_tokens: 40, cached_tokens: 10, completion_tokens: 100, busy_seconds: 2 }
  const history = past(
    minute(1_080, { errors: { upstream: 5 } }),
    minute(1_140, { errors: { upstream: 1 }, answers: { m: { x: 1 } }, deployments: { x: deployment } }),
    minute(1_200, { refused: { invalid_api_key: 2 }, answers: { m: { x: 2, y: 1 } }, deployments: { x: deployment } }),
  )
  expect(faults(history, 1_140)).toEqual([['invalid_api_key', 2], ['upstream', 1]])
  expect(answers(history)).toEqual({ m: { x: 3, y: 1 } })
  expect(byDeployment(history).get('x')).toEqual({ tokensPerSecond: 50, cached: 0.25 })
  expect(byDeployment(null).size).toBe(0)
})

test('a quantile is one of the values, each as often as it came', () => {
  expect(quantile([], 0.5)).toBeNull()
  expect(quantile([[3, 1], [1, 1], [2, 1]], 0.5)).toBe(2)
  expect(quantile([[3, 1], [1, 98], [2, 1]], 0.95)).toBe(1)
  expect(quantile([[3, 1], [1, 1]], 1)).toBe(3)
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
