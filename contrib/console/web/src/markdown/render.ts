/**
 * Text of a model as HTML that can do nothing: no markup of its own, no images, only links to http, https and mailto.
 *
 * markdown-it escapes what is markup, and DOMPurify looks at what it made, last of all.
 */
import DOMPurify from 'dompurify'
import MarkdownIt, { type Env } from 'markdown-it'
import { words } from '../words'
import { highlighted } from './highlight'

const LONGEST_OPEN_CODE = 4_000
const TAGS = [
  'a', 'blockquote', 'br', 'button', 'code', 'del', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'li', 'ol', 'p', 'pre', 's',
  'span', 'strong', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul',
]
const ATTRIBUTES = ['class', 'href', 'rel', 'start', 'target', 'title', 'type']

export const markdown = new MarkdownIt('default', { html: false, linkify: false, breaks: false })

// The address of a picture is a message to whoever serves it, so that a picture is the link to it.
markdown.renderer.rules['image'] = (tokens, index) => {
  const token = tokens[index]!
  const address = String(token.attrGet('src') ?? '')
  const label = markdown.utils.escapeHtml(token.content || address)
  return `<a href="${markdown.utils.escapeHtml(address)}">${label}</a>`
}
markdown.renderer.rules['fence'] = (tokens, index, _options, env) => {
  const token = tokens[index]!
  const language = token.info.trim().split(/\s+/u)[0] ?? ''
  return codeBlock(token.content, language, env?.['finished'] === true || token.content.length < LONGEST_OPEN_CODE)
}
markdown.renderer.rules['code_block'] = (tokens, index) => codeBlock(tokens[index]!.content, '', false)

function codeBlock(code: string, language: string, colour: boolean): string {
  const shown = (colour && highlighted(code, language)) || markdown.utils.escapeHtml(code)
  const button = `<button type="button" class="copy-code small">${markdown.utils.escapeHtml(words.value.app.copy)}</button>`
  return `<pre>${button}<code>${shown}</code></pre>\n`
}

/** HTML of a piece of Markdown; code of a piece that still grows keeps its plain look while it is long. */
export function render(text: string, env: Env, finished: boolean): string {
  env['finished'] = finished
  return sanitised(markdown.render(text, env))
}

function sanitised(html: string): string {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/iu,
  })
}

// Once, for the page: every link opens elsewhere, and tells nobody where from.
DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A') return
  node.setAttribute('target', '_blank')
  node.setAttribute('rel', 'noopener noreferrer nofollow')
})
