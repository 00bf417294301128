/** What the pages show, kept up to date: the reactive shell around `requests`, `minutes` and `troubles`. */
import { computed, inject, reactive, shallowReactive, type InjectionKey } from 'vue'
import { hear } from '../api/events'
import { Gateway, Problem } from '../api/http'
import type { EndedRequest, RouterEvent, Session, Status } from '../api/types'
import { counted, fromKept, type History } from './minutes'
import { after, none, remembered, withRunning, type Requests, type Running } from './requests'

/** Milliseconds after which a number that nobody has renewed is told to be old. */
export const STALE = 10_000
const STATUS_EVERY = 5_000
const STATUS_AFTER_EVENT = 300
const MOST_CHANGES = 200
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
  history: History
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
    history: [],
    changes: [],
    now: Date.now(),
  })

  readonly stale = computed(() => this.live.statusAt > 0 && this.live.now - this.live.statusAt > STALE)

  private waiting: RouterEvent[] = []
  private drawing = 0
  private asking = false
  private again = false
  private soon: ReturnType<typeof setTimeout> | undefined
  private readonly ending = new AbortController()

  constructor(readonly gateway: Gateway) {}

  async start(): Promise<void> {
    setInterval(() => (this.live.now = Date.now()), 1_000)
    setInterval(() => void this.refresh(), STATUS_EVERY)
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
    try {
      const kept = await this.gateway.ask<{ requests: EndedRequest[]; running: Running[] }>(
        '/admin/v1/requests?limit=1000',
      )
      // What is kept goes back further than this page, once; afterwards it would count twice.
      if (!this.live.history.length) this.live.history = counted([], fromKept(kept.requests))
      this.live.requests = withRunning(remembered(this.live.requests, kept.requests), kept.running, Date.now() / 1_000)
    } catch (error) {
      if (error instanceof Problem) this.live.problem = error
    }
  }

  private draw(): void {
    this.drawing = 0
    const events = this.waiting
    this.waiting = []
    this.live.requests = after(this.live.requests, events)
    this.live.history = counted(this.live.history, events)
    const changes = events.filter((each) => TIME_LINE.has(each.type)).reverse()
    if (changes.length) this.live.changes = [...changes, ...this.live.changes].slice(0, MOST_CHANGES)
    if (events.some((each) => CHANGES.has(each.type))) {
      this.soon ??= setTimeout(() => {
        this.soon = undefined
        void this.refresh()
      }, STATUS_AFTER_EVENT)
    }
  }
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
