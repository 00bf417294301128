import MarkdownIt, { type Env } from 'markdown-it'
import { expect, test } from 'vitest'
import { finished, grown, nothing } from '../src/markdown/blocks'
import { visible } from '../src/markdown/controls'

const markdown = new MarkdownIt('default', { html: false })
const render = (text: string, env: Env): string => markdown.render(text, env)
const TEXT = [
  '# Title', '', 'A paragraph with **bold**,', 'two lines of it.', '- one', '- two', '', '  more of two', '- three', '',
  '```python', 'def f():', '', '    return 1', '```', '', 'Setext', '---', '', '| a | b |', '|---|---|', '| 1 | 2 |', '',
  'text', '#tag and *so on*', '1. x', '2. y', '', '> quote', 'lazy', '', '    code', '', '***', 'end',
].join('\n')

function inPieces(text: string, sizes: () => number): { html: string; rendered: number } {
  let state = nothing()
  let rendered = 0
  const counted = (piece: string, env: Env): string => {
    rendered += piece.length
    return render(piece, env)
  }
  for (let at = 0; at < text.length; ) {
    at = Math.min(text.length, at + sizes())
    state = grown(state, text.slice(0, at), markdown, counted)
  }
  return { html: state.blocks.join('') + state.open, rendered }
}

function random(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
}

test('a text that came in pieces looks like one that came at once, however it was cut', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const chance = random(seed)
    const { html } = inPieces(TEXT, () => 1 + Math.floor(chance() * 9))
    expect(html, `seed ${seed}`).toBe(markdown.render(TEXT))
  }
})

test('what is finished is rendered once', () => {
  const paragraphs = Array.from({ length: 200 }, (_, at) => `Paragraph ${at} with some words.`).join('\n\n')
  const { rendered } = inPieces(paragraphs, () => 4)
  expect(rendered).toBeLessThan(paragraphs.length * 20)
})

test('a link that is defined below its use is one in the finished text', () => {
  const text = 'See [it][1].\n\nMore.\n\n[1]: https://example.com/\n'
  expect(finished(text, markdown, render).blocks.join('')).toBe(markdown.render(text))
})

test('the finished text is the whole text, block by block', () => {
  const all = finished(TEXT, markdown, render)
  expect(all.blocks.join('')).toBe(markdown.render(TEXT))
  expect(all.blocks.length).toBeGreaterThan(10)
})

test('what turns the direction of a text, or drives a terminal, is shown by its name', () => {
  expect(visible('a\u202eb\u001b[31m\r\nc\td')).toBe('a⟨U+202E⟩b⟨U+001B⟩[31m\nc\td')
  expect(visible('مرحبا 你好 🙂')).toBe('مرحبا 你好 🙂')
})
