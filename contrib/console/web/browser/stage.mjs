/** What the tests stand on: simulated upstreams, a real gateway in front of them, and a real browser. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import readline from 'node:readline'
import { chromium } from 'playwright-core'

const PYTHON = process.env.POINTSMAN_PYTHON ?? 'python3'
const CHROMIUM = [process.env.POINTSMAN_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((each) => each && existsSync(each))
const ARGUMENTS = ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--js-flags=--expose-gc']

/** Lines of a process as answers to what is asked of it, one after the other. */
class Spoken {
  constructor(process) {
    this.process = process
    this.lines = readline.createInterface({ input: process.stdout })[Symbol.asyncIterator]()
  }

  async heard() {
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the process ended')
    return JSON.parse(value)
  }

  async ask(what) {
    this.process.stdin.write(`${JSON.stringify(what)}\n`)
    return this.heard()
  }
}

export class Stage {
  /** @param configure gives YAML, of the addresses of the two upstreams */
  static async set(configure = configuration) {
    const stage = new Stage()
    stage.folder = mkdtempSync(path.join(tmpdir(), 'console-'))
    const fleet = spawn(PYTHON, [path.join(import.meta.dirname, 'fleet.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
    stage.fleet = new Spoken(fleet)
    const { cloud, gpu } = await stage.fleet.heard()
    stage.config = path.join(stage.folder, 'pointsman.yaml')
    writeFileSync(stage.config, configure(cloud, gpu))
    stage.port = 0
    try {
      await stage.open()
      stage.browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS })
    } catch (error) {
      await stage.clear()
      throw error
    }
    return stage
  }

  /** Start the gateway; at the same port as before. */
  async open() {
    const address = `127.0.0.1:${this.port}`
    const command = ['-m', 'pointsman_cli', 'serve', '-c', this.config, '--listen', address, '--json', '--log', 'off']
    const gateway = spawn(PYTHON, command, { cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    gateway.stderr.on('data', (some) => (said += some))
    this.gateway = gateway
    try {
      const { url } = await new Spoken(gateway).heard()
      this.url = url
      this.port = Number(new URL(url).port)
    } catch (error) {
      throw new Error(`the gateway did not start: ${said}`, { cause: error })
    }
  }

  /** End the gateway as a crash would. */
  async kill() {
    const gone = new Promise((resolve) => this.gateway.once('exit', resolve))
    this.gateway.kill('SIGKILL')
    await gone
  }

  /** A page that fails the test when it asks anybody else, when it says an error, or breaks. */
  async page(path = '/console/', { width = 1440, height = 900, theme = 'light', locale = 'en-GB' } = {}) {
    const context = await this.browser.newContext({ viewport: { width, height }, colorScheme: theme, locale })
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: this.url })
    const page = await context.newPage()
    page.setDefaultTimeout(15_000)
    page.faults = []
    page.expected = /a^/
    page.on('console', (message) => {
      if (message.type() === 'error' && !page.expected.test(message.text())) page.faults.push(`console: ${message.text()}`)
    })
    page.on('pageerror', (error) => page.faults.push(`error: ${error.stack}`))
    page.on('request', (request) => {
      const address = request.url()
      if (!address.startsWith(`${this.url}/`) && !address.startsWith('data:') && !address.startsWith('blob:')) page.faults.push(`foreign: ${address}`)
    })
    await page.goto(this.url + path)
    return page
  }

  script(name, ...replies) {
    return this.fleet.ask({ do: 'script', name, replies })
  }

  outcomes(name) {
    return this.fleet.ask({ do: 'outcomes', name })
  }

  stop(name) {
    return this.fleet.ask({ do: 'stop', name })
  }

  restart(name) {
    return this.fleet.ask({ do: 'restart', name })
  }

  /** Ask a model by HTTP, as a program would; gives the answer of `fetch`. */
  ask(model, more = {}) {
    return fetch(`${this.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], ...more }),
    })
  }

  async clear() {
    await this.browser?.close()
    this.gateway?.kill('SIGKILL')
    this.fleet.process.stdin.end()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function configuration(cloud, gpu) {
  const ours = '{provider: gpu, model: llama3.2, price: {input: 0, output: 0}}'
  const theirs = '{provider: cloud, model: gpt-4.1-mini, price: {input: 0.4, output: 1.6}}'
  return `providers:
  cloud: {type: openai, base_url: "${cloud}"}
  gpu: {type: ollama, base_url: "${gpu}"}
models:
  assistant: {deployments: [${ours}, ${theirs}]}
  cloud: {deployments: [${theirs}]}
  local: {deployments: [${ours}], fallback: [cloud]}
`
}
