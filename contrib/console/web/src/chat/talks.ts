/** The conversations of this browser, and the answers that come: the reactive shell around `conversation` and `answer`. */
import { shallowReactive } from 'vue'
import { answered } from '../api/chat'
import type { Gateway } from '../api/http'
import type { Request } from '../live/requests'
import { added, amended, begun, messages, switched, turn, type Conversation, type Picture, type Settings } from './conversation'
import { Conversations } from './storage'

const KEEP_AFTER = 400
const FIRST: Settings = { model: '', system: '', temperature: null, maxTokens: null }

export class Talks {
  readonly state = shallowReactive<{ all: Conversation[]; current: string; running: ReadonlySet<string>; ready: boolean }>({
    all: [],
    current: '',
    running: new Set(),
    ready: false,
  })

  private kept: Conversations | undefined
  private readonly stops = new Map<string, AbortController>()
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>()

  constructor(private readonly gateway: Gateway) {}

  async load(): Promise<void> {
    if (this.state.ready) return
    this.kept = await Conversations.open()
    this.state.all = await this.kept.all()
    this.state.ready = true
    addEventListener('pagehide', () => this.keepAll())
  }

  get current(): Conversation | undefined {
    return this.state.all.find((each) => each.id === this.state.current)
  }

  /** A new conversation with the settings of the last one; the one that is empty, where there is one. */
  begin(): Conversation {
    const unused = this.state.all.find((each) => !Object.keys(each.turns).length)
    const before = this.state.all[0]
    const made = unused ?? begun(crypto.randomUUID(), before?.settings ?? FIRST, Date.now())
    if (!unused) this.put(made)
    this.state.current = made.id
    return made
  }

  open(id: string): void {
    this.state.current = id
  }

  /** Keep another state of a conversation, and show it: at once, or when it has been quiet for a while. */
  put(conversation: Conversation, { soon = false } = {}): void {
    const others = this.state.all.filter((each) => each.id !== conversation.id)
    this.state.all = [conversation, ...others].sort((a, b) => b.changed - a.changed)
    clearTimeout(this.timers.get(conversation.id))
    if (soon) this.timers.set(conversation.id, setTimeout(() => this.keep(conversation.id), KEEP_AFTER))
    else this.keep(conversation.id)
  }

  async remove(id: string): Promise<void> {
    this.stop(id)
    this.state.all = this.state.all.filter((each) => each.id !== id)
    clearTimeout(this.timers.get(id))
    await this.kept?.remove(id)
  }

  show(conversation: Conversation, branch: string): void {
    this.put(switched(conversation, branch))
  }

  /** Say something below `parent`, and have it answered. */
  say(conversation: Conversation, parent: string | null, text: string, pictures: readonly Picture[]): Promise<void> {
    const said = turn(crypto.randomUUID(), parent, 'user', { text, pictures })
    return this.answer({ ...added(conversation, said, Date.now()), draft: '' }, said.id)
  }

  /** Have the turn `parent` answered, once more where it was before. */
  async answer(conversation: Conversation, parent: string): Promise<void> {
    const { id } = conversation
    const coming = turn(crypto.randomUUID(), parent, 'assistant', { ending: 'running' })
    const asked = messages(conversation, parent)
    this.put(added(conversation, coming, Date.now()))
    const stop = new AbortController()
    this.stops.set(id, stop)
    this.run(id, true)
    await answered(
      this.gateway,
      conversation.settings,
      asked,
      (answer) => this.amend(id, coming.id, answer),
      stop.signal,
    )
    this.stops.delete(id)
    this.run(id, false)
  }

  stop(id: string): void {
    this.stops.get(id)?.abort()
  }

  private run(id: string, running: boolean): void {
    const all = new Set(this.state.running)
    if (running) all.add(id)
    else all.delete(id)
    this.state.running = all
  }

  private amend(id: string, turnId: string, change: Parameters<typeof amended>[2]): void {
    const now = this.state.all.find((each) => each.id === id)
    if (now) this.put(amended(now, turnId, change), { soon: true })
  }

  /** Put down what an answer took, as the router tells it: all attempts, and what it cost. */
  settle(conversation: Conversation, turnId: string, ended: Request): void {
    const facts = conversation.turns[turnId]?.facts
    if (!facts) return
    const cost = ended.microcents === null ? {} : { costUsd: ended.microcents / 1e8 }
    const told = { deployment: ended.deployment || (facts.deployment ?? ''), attempts: ended.attempts.length, settled: true }
    this.put(amended(conversation, turnId, { facts: { ...facts, ...told, ...cost } }))
  }

  private keep(id: string): void {
    const now = this.state.all.find((each) => each.id === id)
    if (now) void this.kept?.keep(now)
  }

  private keepAll(): void {
    for (const id of this.timers.keys()) this.keep(id)
  }
}
