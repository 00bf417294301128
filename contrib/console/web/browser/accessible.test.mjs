/** Everybody can use it: axe finds nothing serious on any page, and every action is done by the keyboard alone. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { Stage } from './stage.mjs'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const PAGES = ['', 'chat', 'review', 'deployments', 'requests', 'routes', 'models', 'callers', 'credentials', 'audit', 'config']
let stage

before(async () => {
  stage = await Stage.set()
  for (let each = 0; each < 4; each += 1) await (await stage.ask('assistant')).text()
})
after(() => stage?.clear())

for (const theme of ['light', 'dark']) {
  for (const width of [360, 1440]) {
    test(`axe finds nothing serious on any page, ${theme}, ${width} pixels wide`, async () => {
      const page = await stage.page('/console/', { theme, width })
      const found = []
      for (const each of PAGES) {
        await page.goto(`${stage.url}/console/${each}`)
        await page.locator('h1').waitFor()
        await page.locator('main :is(table, .card, .empty, .virtual, textarea):visible').first().waitFor()
        // Not by a script element, which the page's policy forbids.
        await page.evaluate(AXE)
        const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }))
        const serious = violations.filter((one) => ['serious', 'critical'].includes(one.impact))
        found.push(...serious.map((one) => `${each || 'overview'}: ${one.id}: ${one.nodes[0].html.slice(0, 200)}`))
      }
      assert.deepEqual(found, [])
      await page.context().close()
    })
  }
}

/** Press Tab until what is focused has `name`. */
async function reach(page, name, most = 80) {
  for (let each = 0; each < most; each += 1) {
    const found = await page.evaluate(() => {
      const it = document.activeElement
      return it?.getAttribute('aria-label') ?? it?.labels?.[0]?.textContent?.trim() ?? it?.textContent?.trim() ?? ''
    })
    if (found.startsWith(name)) return
    await page.keyboard.press('Tab')
  }
  assert.fail(`nothing that is reached by Tab is named ${name}`)
}

test('a deployment is drained and taken back, a question is asked, a route is explained: by the keyboard alone', async () => {
  const page = await stage.page('/console/deployments')
  await page.getByText('gpu/llama3.2').first().waitFor()
  await reach(page, 'Drain')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await reach(page, 'Drain')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Undo' }).waitFor()
  await reach(page, 'Undo')
  await page.keyboard.press('Enter')
  await page.getByText(/gets calls again/).waitFor()
  await page.goto(`${stage.url}/console/chat`)
  await page.getByRole('button', { name: 'Send' }).and(page.locator(':enabled')).waitFor()
  await reach(page, 'Say something')
  await page.keyboard.type('hello')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Ask again' }).waitFor()
  await page.goto(`${stage.url}/console/routes`)
  await page.getByRole('button', { name: 'Explain' }).waitFor()
  await reach(page, 'Explain')
  await page.keyboard.press('Enter')
  await page.getByText('It would go to').waitFor()
  assert.deepEqual(page.faults, [])
})

test('the first Tab offers to skip the menu', async () => {
  const page = await stage.page('/console/')
  await page.locator('h1').waitFor()
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content')
})
