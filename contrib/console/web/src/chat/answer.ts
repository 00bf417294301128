/** What becomes of an answer with each chunk of a chat stream; pure, so that it is tried without a network. */
import type { Ending, Facts, ToolCall } from './conversation'

export interface Answer {
  readonly text: string
  readonly reasoning: string
  readonly calls: readonly ToolCall[]
  readonly ending: Ending
  readonly problem: string
  readonly facts: Facts
}

/** A chunk of `/v1/chat/completions`, as far as it is looked at. */
export interface Chunk {
  readonly model?: string
  readonly choices?: readonly {
    readonly index?: number
    readonly finish_reason?: string | null
    readonly delta?: {
      readonly content?: string | null
      readonly reasoning_content?: string | null
      readonly reasoning?: string | null
      readonly tool_calls?: readonly {
        readonly index?: number
        readonly id?: string
        readonly function?: { readonly name?: string; readonly arguments?: string }
      }[]
    }
  }[]
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number } | null
  readonly error?: { readonly message?: string }
}

export function empty(): Answer {
  return { text: '', reasoning: '', calls: [], ending: 'running', problem: '', facts: {} }
}

/** `answer` with what `chunk` says, which came `ms` milliseconds after the request had left. */
export function told(answer: Answer, chunk: Chunk, ms: number): Answer {
  if (chunk.error) return { ...answer, ending: 'failed', problem: chunk.error.message ?? 'error' }
  const choice = chunk.choices?.find((each) => (each.index ?? 0) === 0)
  const delta = choice?.delta ?? {}
  const text = answer.text + (delta.content ?? '')
  const reasoning = answer.reasoning + (delta.reasoning_content ?? delta.reasoning ?? '')
  const calls = delta.tool_calls?.length ? withPieces(answer.calls, delta.tool_calls) : answer.calls
  const first = answer.facts.firstTokenMs ?? (text || reasoning || calls.length ? ms : undefined)
  return {
    ...answer,
    text,
    reasoning,
    calls,
    ending: choice?.finish_reason ? 'whole' : answer.ending,
    facts: withUsage({ ...answer.facts, ...(first === undefined ? {} : { firstTokenMs: first }) }, chunk),
  }
}

function withUsage(facts: Facts, chunk: Chunk): Facts {
  const { prompt_tokens: prompt, completion_tokens: completion } = chunk.usage ?? {}
  return {
    ...facts,
    ...(prompt === undefined ? {} : { promptTokens: prompt }),
    ...(completion === undefined ? {} : { completionTokens: completion }),
  }
}

type Pieces = NonNullable<NonNullable<NonNullable<Chunk['choices']>[number]['delta']>['tool_calls']>

function withPieces(calls: readonly ToolCall[], pieces: Pieces): ToolCall[] {
  const grown = [...calls]
  for (const piece of pieces) {
    const at = piece.index ?? grown.length
    const call = grown[at] ?? { id: '', name: '', arguments: '' }
    grown[at] = {
      id: piece.id ?? call.id,
      name: call.name + (piece.function?.name ?? ''),
      arguments: call.arguments + (piece.function?.arguments ?? ''),
    }
  }
  return grown.filter((each) => each !== undefined)
}
