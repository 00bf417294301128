/**
 * A conversation is a tree of messages: editing one, or asking again, adds a branch, and nothing that was said is lost.
 *
 * All functions give a new conversation back. What is shown is one path from the root: at each message the child that was
 * looked at last.
 */
export type Role = 'user' | 'assistant'

/** A picture as the person dropped it: a `data:` URL of `image/*`. */
export interface Picture {
  readonly name: string
  readonly url: string
}

export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: string
}

/** Who answered, and what it took; what is not known is left out. */
export interface Facts {
  readonly requestId?: string
  readonly model?: string
  readonly deployment?: string
  readonly attempts?: number
  readonly firstTokenMs?: number
  readonly totalMs?: number
  readonly promptTokens?: number
  readonly completionTokens?: number
  readonly costUsd?: number
  /** The router has told what it took. */
  readonly settled?: boolean
}

export type Ending = 'running' | 'whole' | 'stopped' | 'cut' | 'failed'

export interface Turn {
  readonly id: string
  readonly parent: string | null
  readonly role: Role
  readonly text: string
  readonly reasoning: string
  readonly calls: readonly ToolCall[]
  readonly pictures: readonly Picture[]
  readonly ending: Ending
  /** What went wrong, in words of the gateway. */
  readonly problem: string
  readonly facts: Facts
}

export interface Settings {
  readonly model: string
  readonly system: string
  readonly temperature: number | null
  readonly maxTokens: number | null
}

export interface Conversation {
  readonly id: string
  readonly title: string
  /** Milliseconds since 1970. */
  readonly changed: number
  readonly settings: Settings
  readonly turns: Readonly<Record<string, Turn>>
  /** The child that is looked at, by its parent; that of the root by ''. */
  readonly shown: Readonly<Record<string, string>>
  /** What was typed and not sent yet. */
  readonly draft: string
}

const LONGEST_TITLE = 60

export function begun(id: string, settings: Settings, now: number): Conversation {
  return { id, title: '', changed: now, settings, turns: {}, shown: {}, draft: '' }
}

/** The turns that are shown, the first one first. */
export function path(conversation: Conversation): Turn[] {
  const turns: Turn[] = []
  for (let at = conversation.shown['']; at !== undefined; at = conversation.shown[at]) {
    const turn = conversation.turns[at]
    if (!turn) break
    turns.push(turn)
  }
  return turns
}

/** The branches that `turn` is one of, the oldest one first. */
export function branches(conversation: Conversation, turn: Turn): string[] {
  return Object.values(conversation.turns)
    .filter((each) => each.parent === turn.parent)
    .map((each) => each.id)
}

/** With one more turn below `turn.parent`, which is shown. */
export function added(conversation: Conversation, turn: Turn, now: number): Conversation {
  const title = conversation.title || titleOf(turn)
  return {
    ...conversation,
    title,
    changed: now,
    turns: { ...conversation.turns, [turn.id]: turn },
    shown: { ...conversation.shown, [turn.parent ?? '']: turn.id },
  }
}

/** With other members at a turn; nothing where that is gone. */
export function amended(conversation: Conversation, id: string, change: Partial<Turn>): Conversation {
  const turn = conversation.turns[id]
  if (!turn) return conversation
  return { ...conversation, turns: { ...conversation.turns, [id]: { ...turn, ...change } } }
}

/** With the branch `id` shown in the place of those beside it. */
export function switched(conversation: Conversation, id: string): Conversation {
  const turn = conversation.turns[id]
  if (!turn) return conversation
  return { ...conversation, shown: { ...conversation.shown, [turn.parent ?? '']: id } }
}

/** A turn that says nothing yet. */
export function turn(id: string, parent: string | null, role: Role, more: Partial<Turn> = {}): Turn {
  return {
    id,
    parent,
    role,
    text: '',
    reasoning: '',
    calls: [],
    pictures: [],
    ending: 'whole',
    problem: '',
    facts: {},
    ...more,
  }
}

/** A conversation that was written down while an answer came: that one is cut, for nobody reads it any more. */
export function recovered(conversation: Conversation): Conversation {
  const turns = Object.entries(conversation.turns).map(([id, each]) => [
    id,
    each.ending === 'running' ? { ...each, ending: 'cut' as const } : each,
  ])
  return { ...conversation, turns: Object.fromEntries(turns) as Conversation['turns'] }
}

/** The messages of a chat request: the system prompt, and what is shown above and with `until`. */
export function messages(conversation: Conversation, until: string): object[] {
  const said: object[] = []
  if (conversation.settings.system.trim()) said.push({ role: 'system', content: conversation.settings.system })
  for (const each of lineage(conversation, until)) {
    if (each.role === 'assistant') {
      if (each.text) said.push({ role: 'assistant', content: each.text })
      continue
    }
    const pictures = each.pictures.map(({ url }) => ({ type: 'image_url', image_url: { url } }))
    said.push({
      role: 'user',
      content: pictures.length ? [...(each.text ? [{ type: 'text', text: each.text }] : []), ...pictures] : each.text,
    })
  }
  return said
}

/** `id` and what stands above it, the first one first. */
function lineage(conversation: Conversation, id: string): Turn[] {
  const turns: Turn[] = []
  for (let at: string | null = id; at !== null; ) {
    const each: Turn | undefined = conversation.turns[at]
    if (!each) break
    turns.unshift(each)
    at = each.parent
  }
  return turns
}

function titleOf(turn: Turn): string {
  const line = turn.text.trim().split('\n')[0] ?? ''
  const letters = [...line]
  return letters.length > LONGEST_TITLE ? `${letters.slice(0, LONGEST_TITLE - 1).join('')}…` : line
}
