/**
 * How much work the page makes for the browser. `FULL=1` takes the sizes that are promised, and ten minutes for the heap;
 * without it everything is smaller, and times are printed and not asked for: a test beside others says nothing of them.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { Stage } from './stage.mjs'

const FULL = process.env.FULL === '1'
const REQUESTS = FULL ? 5_000 : 800
const DEPLOYMENTS = 200
const CHUNKS = FULL ? 2_000 : 600
const LONGEST_TASK_MS = 50
let stage

before(async () => {
  stage = await Stage.set(many)
})
after(() => stage?.clear())

function many(cloud, gpu) {
  const deployments = Array.from({ length: DEPLOYMENTS }, (_, at) => `{provider: gpu, model: llama3.2:${at}}`)
  return `providers:
  cloud: {type: openai, base_url: "${cloud}"}
  gpu: {type: ollama, base_url: "${gpu}"}
models:
  cloud: {deployments: [{provider: cloud, model: gpt-4.1-mini}]}
  many: {deployments: [${deployments.join(', ')}]}
gateway: {requests_kept: 5000}
`
}

/** Count frames and long tasks from now on. */
async function watched(page) {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('Performance.enable')
  await page.evaluate(() => {
    globalThis.seen = { frames: 0, long: [] }
    const frame = () => {
      globalThis.seen.frames += 1
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
    new PerformanceObserver((list) => globalThis.seen.long.push(...list.getEntries().map((each) => Math.round(each.duration)))).observe({ type: 'longtask' })
  })
  const script = async () => (await devtools.send('Performance.getMetrics')).metrics.find((each) => each.name === 'ScriptDuration').value
  const begun = await script()
  return async () => ({ ...(await page.evaluate(() => globalThis.seen)), scriptMs: ((await script()) - begun) * 1_000 })
}

function tell(what, figures) {
  console.log(`${what}: ${JSON.stringify(figures)}`)
}

test('all of the page is at most 250 KB, packed', () => {
  const folder = path.join(import.meta.dirname, '../../src/pointsman_console/static')
  const sizes = readdirSync(folder).map((name) => gzipSync(readFileSync(path.join(folder, name))).length)
  const bytes = sizes.reduce((sum, each) => sum + each, 0)
  tell('bytes', bytes)
  assert.ok(bytes <= 250 * 1_024, `${bytes} bytes`)
})

test('a long answer in many chunks takes little work for each, and holds up nothing', async () => {
  const block = 'Some words of a paragraph with **bold** and `code`, as answers have them.\n\n- one\n- two\n\n```python\ndef f(x):\n    return x\n```\n\n'
  const text = block.repeat(Math.ceil(10_240 / block.length)).slice(0, 10_240)
  const size = text.length / CHUNKS
  const chunks = Array.from({ length: CHUNKS }, (_, at) => text.slice(Math.round(at * size), Math.round((at + 1) * size)))
  await stage.script('cloud', { text, chunks, tokens_per_second: 400 })
  const page = await stage.page('/console/chat')
  await page.getByLabel('Model').selectOption('cloud')
  await page.getByRole('button', { name: 'Send' }).and(page.locator(':enabled')).waitFor()
  await page.getByRole('textbox', { name: /Say something/ }).fill('Go')
  const figures = await watched(page)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Ask again' }).waitFor({ timeout: 60_000 })
  const { frames, long, scriptMs } = await figures()
  const perChunk = (scriptMs * 1_000) / CHUNKS
  tell('answer', { chunks: CHUNKS, us_per_chunk: Math.round(perChunk), frames, long })
  if (FULL) assert.ok(perChunk <= 150, `${perChunk} us of script for a chunk`)
  if (FULL) assert.ok(long.length <= Math.max(1, frames / 100), `${long.length} tasks over ${LONGEST_TASK_MS} ms in ${frames} frames`)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

async function load(count) {
  let left = count
  const one = async () => {
    while (left > 0) {
      left -= 1
      await (await stage.ask('many')).text()
    }
  }
  await Promise.all(Array.from({ length: 24 }, one))
}

test('thousands of requests and hundreds of deployments go by and are scrolled through smoothly', async () => {
  const page = await stage.page('/console/requests?q=many')
  await page.locator('h1').waitFor()
  const [_, loaded] = [await page.waitForFunction(() => document.querySelector('nav a') !== null), load(REQUESTS)]
  await loaded
  await page.getByText(`requests: ${REQUESTS}`).waitFor({ timeout: 60_000 })
  const scrolled = async (selector) => {
    const figures = await watched(page)
    await page.locator(selector).first().hover()
    for (let each = 0; each < 60; each += 1) await page.mouse.wheel(0, 600)
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))
    return figures()
  }
  for (const [where, selector] of [['requests', '.virtual'], ['deployments', '.data']]) {
    await page.getByRole('link', { name: where === 'requests' ? 'Requests' : 'Deployments', exact: true }).click()
    await page.locator(selector).first().waitFor()
    const { frames, long } = await scrolled(selector)
    tell(where, { rows: where === 'requests' ? REQUESTS : DEPLOYMENTS, frames, long })
    if (FULL) assert.ok(long.length <= Math.max(1, frames / 100), `${long.length} tasks over ${LONGEST_TASK_MS} ms in ${frames} frames`)
  }
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('events that go by leave nothing behind', async () => {
  const page = await stage.page('/console/requests')
  await page.locator('h1').waitFor()
  const devtools = await page.context().newCDPSession(page)
  const heap = async () => {
    await devtools.send('HeapProfiler.collectGarbage')
    return (await devtools.send('Runtime.getHeapUsage')).usedSize / 2 ** 20
  }
  // The list is full before it is measured: then what comes pushes out what was there.
  await load(FULL ? 6_000 : REQUESTS)
  const minutes = FULL ? 8 : 0
  const until = Date.now() + minutes * 60_000
  const before = await heap()
  do await load(200)
  while (Date.now() < until)
  const grown = (await heap()) - before
  tell('heap', { before_mib: before.toFixed(1), grown_mib: grown.toFixed(2), minutes })
  assert.ok(grown <= 2, `${grown} MiB more`)
  await page.context().close()
})
