/** Behind an access that asks for keys: signing in, what a session may, and what a key that is no operator's sees. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Stage } from './stage.mjs'

const ROOT = `root-${'k'.repeat(32)}`
const CI = `ci-${'k'.repeat(32)}`
let stage

before(async () => {
  stage = await Stage.set(
    (cloud) => `providers:
  cloud: {type: openai, base_url: "${cloud}"}
models:
  cloud: {deployments: [{provider: cloud, model: gpt-4.1-mini}]}
gateway:
  access:
    loopback: false
    keys:
      - {name: root, key: ${ROOT}, operator: true}
      - {name: ci, key: ${CI}, models: [cloud]}
`,
  )
})
after(() => stage?.clear())

async function signedIn(page, key) {
  page.expected = /401|403/
  await page.getByLabel('Key').fill(key)
  await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
}

test('a wrong key is refused in words, a right one opens the page and is kept nowhere', async () => {
  const page = await stage.page('/console/deployments')
  await signedIn(page, 'nobody')
  await page.getByRole('alert').waitFor()
  await signedIn(page, ROOT)
  await page.getByText('cloud/gpt-4.1-mini').first().waitFor()
  await page.getByRole('button', { name: 'Disable' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click()
  await page.getByRole('button', { name: 'Undo' }).click()
  await page.getByText(/gets calls again/).waitFor()
  await page.reload()
  await page.getByText('cloud/gpt-4.1-mini').first().waitFor()
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]))
  assert.ok(!kept.includes(ROOT))
  assert.ok(!kept.includes('pointsman_session'), 'the cookie is not for scripts')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Key').waitFor()
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('a key that operates nothing chats, and is told why there is no more', async () => {
  const page = await stage.page('/console/')
  await signedIn(page, CI)
  await page.getByText(/may call models but not operate/).waitFor()
  assert.equal(await page.getByRole('link', { name: 'Deployments' }).count(), 0)
  await page.getByRole('link', { name: 'Chat' }).click()
  await page.getByRole('button', { name: 'Send' }).and(page.locator(':enabled')).waitFor()
  await page.getByRole('textbox', { name: /Say something/ }).fill('hello')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Ask again' }).waitFor()
  assert.deepEqual(page.faults, [])
  await page.context().close()
})
