/** What the pages show, kept up to date: the reactive shell around `requests`, `minutes` and `troubles`. */
import { computed, inject, reactive, shallowReactive, type InjectionKey } from 'vue'
import { hear } from '../api/events'
import { Gateway, Problem } from '../api/http'
import type { EndedRequest, HistoryTold, RouterEvent, Session, Status } from '../api/types'
import { counted, nothing, told, type History } from './minutes'
import { after, none, remembered, withRunning, type Requests, type Running } from './requests'

/** Milliseconds after which a number that nobody has renewed is told to be old. */
export const STALE = 10_000
const STATUS_EVERY = 5_000
const STATUS_AFTER_EVENT = 300
const MOST_CHANGES = 200
/** Milliseconds after which sums that only the gateway has are asked for again. */
const LOOK_BACK_EVERY = 30_000
/** And between two times at least, where something went wrong meanwhile. */
const LOOK_BACK_AFTER = 5_000
const CHANGES = new Set(['breaker_changed', 'health_changed', 'reloaded', 'state_changed', 'attempt_ended'])
const TIME_LINE = new Set(['breaker_changed', 'health_changed', 'reloaded', 'state_changed', 'gap'])

export interface Live {
  status: Status | null
  /** Milliseconds since 1970 of the last status. */
  statusAt: number
  connected: boolean
  problem: Problem | null
  session: Session | null
  requests: Requests
  /** The last hour for charts: what the gateway told when it was heard, and what came since. */
  history: History
  /** The last hour as the gateway told it last. */
  past: HistoryTold | null
  /** Milliseconds that the gateway's clock is ahead of this one's. */
  ahead: number
  /** Breakers, checks, reloads: the last one first. */
  changes: readonly RouterEvent[]
  /** Milliseconds since 1970, renewed each second. */
  now: number
}

/** The page's one connection to what happens; `start` it once, `stop` it never but in tests. */
export class LiveStore {
  readonly live: Live = shallowReactive<Live>({
    status: null,
    statusAt: 0,
    connected: false,
    problem: null,
    session: null,
    requests: none,
    history: nothing,
    past: null,
    ahead: 0,
    changes: [],
    now: Date.now(),
  })

  /** Seconds since 1970 by the gateway's clock. */
  readonly gatewayNow = computed(() => (this.live.now + this.live.ahead) / 1_000)
  readonly stale = computed(() => this.live.statusAt > 0 && this.live.now - this.live.statusAt > STALE)

  private waiting: RouterEvent[] = []
  /** What was heard while the gateway was asked for what went before. */
  private meanwhile: RouterEvent[] | null = null
  private lookedBack = 0
  private drawing = 0
  private asking = false
  private again = false
  private soon: ReturnType<typeof setTimeout> | undefined
  private readonly ending = new AbortController()

  constructor(readonly gateway: Gateway) {}

  async start(): Promise<void> {
    setInterval(() => (this.live.now = Date.now()), 1_000)
    setInterval(() => void this.refresh(), STATUS_EVERY)
    setInterval(() => void this.lookBack(), LOOK_BACK_EVERY)
    document.addEventListener('visibilitychange', () => void this.refresh())
    await this.signedIn()
  }

  stop(): void {
    this.ending.abort()
  }

  /** Find out who asks, and hear of what happens where that is an operator. */
  async signedIn(): Promise<void> {
    try {
      const session = await this.gateway.ask<Session>('/admin/v1/session')
      this.gateway.useCsrf(session.csrf)
      const anew = this.live.session === null
      this.live.session = session
      this.live.problem = null
      if (anew && session.operator) void hear(this.gateway, this, this.ending.signal)
    } catch (error) {
      this.live.problem = error as Problem
      if (!(error instanceof Problem) || !error.needsKey) setTimeout(() => void this.signedIn(), 2_000)
    }
  }

  readonly onEvent = (_type: string, data: unknown): void => {
    this.waiting.push(data as RouterEvent)
    // Many events come at a time: they are drawn once in a frame.
    this.drawing ||= requestAnimationFrame(() => this.draw())
  }

  readonly onLink = (connected: boolean, problem: Problem | null): void => {
    this.live.connected = connected
    this.live.problem = problem
    if (problem?.needsKey) this.live.session = null
    if (connected) void this.catchUp()
  }

  /** Ask for the status, once however often this is called meanwhile. */
  async refresh(): Promise<void> {
    if (document.hidden || !this.live.session?.operator) return
    if (this.asking) {
      this.again = true
      return
    }
    this.asking = true
    try {
      this.live.status = await this.gateway.ask<Status>('/admin/v1/status')
      this.live.statusAt = this.live.now = Date.now()
    } catch (error) {
      if (error instanceof Problem) this.live.problem = error
    } finally {
      this.asking = false
    }
    if (this.again) {
      this.again = false
      await this.refresh()
    }
  }

  private async catchUp(): Promise<void> {
    await this.refresh()
    this.meanwhile = []
    const past = await this.lookBack()
    if (past) {
      this.live.history = counted(told(past), this.meanwhile)
      this.live.changes = [...past.changes, ...this.meanwhile.filter(isLater(past.now))].filter(isChange).reverse().slice(0, MOST_CHANGES)
    }
    this.meanwhile = null
    try {
      const { requests, running } = await this.gateway.ask<{ requests: EndedRequest[]; running: Running[] }>(
        '/admin/v1/requests?limit=1000',
      )
      this.live.requests = withRunning(remembered(this.live.requests, requests), running, this.gatewayNow.value)
    } catch (error) {
      if (error instanceof Problem) this.live.problem = error
    }
  }

  /** Ask for the sums of the last hour; null where there is no answer. */
  private async lookBack(): Promise<HistoryTold | null> {
    if (document.hidden || !this.live.session?.operator) return null
    this.lookedBack = Date.now()
    try {
      const past = await this.gateway.ask<HistoryTold>('/admin/v1/history')
      this.live.ahead = past.now * 1_000 - Date.now()
      return (this.live.past = past)
    } catch (error) {
      if (error instanceof Problem) this.live.problem = error
      return null
    }
  }

  private draw(): void {
    this.drawing = 0
    const events = this.waiting
    this.waiting = []
    this.meanwhile?.push(...events)
    this.live.requests = after(this.live.requests, events)
    this.live.history = counted(this.live.history, events)
    const changes = events.filter(isChange).reverse()
    if (changes.length) this.live.changes = [...changes, ...this.live.changes].slice(0, MOST_CHANGES)
    // Whose fault an error is, only the gateway says.
    const failed = events.some((each) => each.type === 'caller_refused' || (each.type === 'request_ended' && each.error))
    if (failed && Date.now() - this.lookedBack > LOOK_BACK_AFTER) void this.lookBack()
    if (events.some((each) => CHANGES.has(each.type))) {
      this.soon ??= setTimeout(() => {
        this.soon = undefined
        void this.refresh()
      }, STATUS_AFTER_EVENT)
    }
  }
}

function isChange(event: RouterEvent): boolean {
  return TIME_LINE.has(event.type)
}

function isLater(than: number): (event: RouterEvent) => boolean {
  return (event) => event.at > than
}

export const STORE: InjectionKey<LiveStore> = Symbol('store')

/** The store of this page. Raises where a component stands outside of it. */
export function useStore(): LiveStore {
  const store = inject(STORE)
  if (!store) throw new Error('no store is provided')
  return store
}

/** A reactive value that is kept in this browser; what cannot be kept is kept while the page is open. */
export function keptHere<T extends object>(key: string, initial: T): T {
  const value = reactive({ ...initial }) as T
  try {
    Object.assign(value, JSON.parse(localStorage.getItem(key) ?? '{}'))
  } catch {
    // What is not readable any more is as good as nothing.
  }
  return value
}
