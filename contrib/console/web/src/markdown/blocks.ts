/**
 * Markdown that grows: blocks that are finished are rendered once, and only the last one again.
 *
 * A block is finished when another one begins below it on a line that is whole. Until then what comes may change what it
 * is: `#` becomes `#tag`, `---` makes a heading of the paragraph above.
 */
import type { Env, MarkdownIt } from 'markdown-it'

/** What was made of a text so far. `env` remembers definitions of links; it is the parser's. */
export interface Rendered {
  /** Where in the text the open part begins. */
  readonly frozen: number
  /** HTML of what is finished, a string for each top-level block. */
  readonly blocks: readonly string[]
  /** HTML of the open part. */
  readonly open: string
  readonly env: Env
}

export type Render = (text: string, env: Env, finished: boolean) => string

export function nothing(): Rendered {
  return { frozen: 0, blocks: [], open: '', env: {} }
}

/**
 * What `text` looks like, given what an earlier, shorter state of it looked like.
 *
 * @param text - all of it, not only what is new
 * @param render - makes HTML that is safe to show
 */
export function grown(before: Rendered, text: string, markdown: MarkdownIt, render: Render): Rendered {
  const rest = text.slice(before.frozen)
  const begins = whereBlocksBegin(rest, markdown, before.env)
  const blocks = [...before.blocks]
  let from = 0
  for (const until of begins.slice(1)) {
    blocks.push(render(rest.slice(from, until), before.env, true))
    from = until
  }
  const frozen = before.frozen + from
  return { frozen, blocks, open: render(rest.slice(from), before.env, false), env: before.env }
}

/** All of a text that will not grow any more; links that are defined below their use are links here, too. */
export function finished(text: string, markdown: MarkdownIt, render: Render): Rendered {
  const env: Env = {}
  markdown.parse(text, env)
  const begins = [...whereBlocksBegin(`${text}\n`, markdown, env), text.length]
  const blocks = begins.slice(1).map((until, at) => render(text.slice(at && begins[at], until), env, true))
  return { frozen: text.length, blocks, open: '', env }
}

/** Offsets of the first characters of the top-level blocks that begin on whole lines. */
function whereBlocksBegin(text: string, markdown: MarkdownIt, env: Env): number[] {
  const lines = offsetsOfLines(text)
  const whole = lines.length - 1
  return markdown
    .parse(text, env)
    .filter((token) => token.level === 0 && token.nesting !== -1 && token.map !== null)
    .map((token) => token.map![0])
    .filter((line) => line < whole)
    .map((line) => lines[line]!)
}

/** Offsets at which the lines of `text` begin; the last one is that of the line that is not whole yet. */
function offsetsOfLines(text: string): number[] {
  const offsets = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) offsets.push(at + 1)
  return offsets
}
