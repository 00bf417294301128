/**
 * Writes docs/images/console-light.png and console-dark.png: the overview of `pointsman serve --demo`, when one of its
 * servers has just died. Takes about a minute.
 */
import { spawn } from 'node:child_process'
import path from 'node:path'
import readline from 'node:readline'
import { chromium } from 'playwright-core'

const images = path.join(import.meta.dirname, '../../../docs/images')
const gateway = spawn(process.env.POINTSMAN_PYTHON ?? 'python3', ['-m', 'pointsman_cli', 'serve', '--demo', '--listen', '127.0.0.1:0', '--json', '--log', 'off'])
const { value } = await readline.createInterface({ input: gateway.stdout })[Symbol.asyncIterator]().next()
const browser = await chromium.launch({ executablePath: process.env.POINTSMAN_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
try {
  const pages = []
  for (const theme of ['light', 'dark']) {
    const page = await browser.newPage({ viewport: { width: 1100, height: 720 }, colorScheme: theme, locale: 'en-GB' })
    await page.goto(`${JSON.parse(value).url}/console/`)
    pages.push([theme, page])
  }
  for (const [theme, page] of pages) {
    await page.bringToFront()
    await page.getByText(/gets no calls/).first().waitFor({ timeout: 120_000 })
    await page.screenshot({ path: path.join(images, `console-${theme}.png`) })
  }
} finally {
  await browser.close()
  gateway.kill('SIGTERM')
}
