/** A person at a real Chromium. What the page's console complains of, CSP violations too, fails the test. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'
import { PATIENCE_MS } from './programs.mjs'

const EXECUTABLE = process.env.SWITCHYARD_TEST_CHROMIUM ?? '/usr/bin/chromium'
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export async function openBrowser() {
  return chromium.launch({ executablePath: EXECUTABLE, args: FLAGS })
}

export class Person {
  /** `expects`: parts of console messages that the test brings about on purpose. */
  static async at(browser, gateway, { width = 1280, height = 860, language = 'en', theme = 'light', expects = [] } = {}) {
    const person = new Person()
    // axe runs in a world of its own; the page's own policy stays in force.
    person.context = await browser.newContext({ viewport: { width, height }, reducedMotion: 'reduce', locale: language, permissions: ['clipboard-read', 'clipboard-write'] })
    await person.context.addInitScript(([theme, language]) => {
      localStorage.getItem('switchyard.theme') ?? localStorage.setItem('switchyard.theme', theme)
      localStorage.getItem('switchyard.language') ?? localStorage.setItem('switchyard.language', language)
    }, [theme, language])
    person.context.setDefaultTimeout(PATIENCE_MS)
    person.url = gateway.adminUrl
    person.complaints = []
    person.expects = expects
    person.page = await person.tab()
    return person
  }

  /** Another tab of the same browser. */
  async tab() {
    const page = await this.context.newPage()
    const complain = (text) => this.expects.some((part) => text.includes(part)) || this.complaints.push(text)
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complain(message.text()))
    page.on('pageerror', (error) => complain(String(error)))
    return page
  }

  async signIn({ name, password }) {
    await this.page.goto(`${this.url}/login`)
    await this.page.locator('input[name=username]').fill(name)
    await this.page.locator('input[name=password]').fill(password)
    await this.page.keyboard.press('Enter')
    await this.page.waitForURL((url) => url.pathname !== '/login')
    return this
  }

  async open(path) {
    await this.page.goto(this.url + path)
    await this.settled()
  }

  /** The page has its title, and nothing is loading. */
  async settled() {
    await this.page.locator('main h1').first().waitFor()
    await this.page.waitForFunction(() => !document.querySelector('.el-skeleton, [aria-busy=true]'))
    await this.page.waitForLoadState('networkidle')
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true })
  }

  link(name) {
    return this.page.getByRole('link', { name, exact: true })
  }

  /** What is typed into; a choice of the same name is none. */
  field(label) {
    return this.page.locator('input:not([type=radio], [type=checkbox]), textarea').and(this.page.getByLabel(label, { exact: true }))
  }

  /** Picks a choice of one of the page's selects, as the keyboard opens it. */
  async choose(label, choice) {
    await this.page.getByRole('combobox', { name: label, exact: true }).focus()
    await this.page.keyboard.press('Enter')
    await this.page.getByRole('option', { name: choice, exact: true }).click()
  }

  /** Sends a request from the test page, and waits for all of its answer; the record stands in the ledger then. */
  async tryModel({ wire, model, prompt }) {
    await this.open('/proxy-test')
    await this.choose('Wire', wire)
    await this.field('Model').fill(model)
    await this.field('Prompt').fill(prompt)
    await this.button('Send').click()
    await this.page.getByRole('region', { name: 'Text' }).getByText(prompt).waitFor()
    await this.page.getByText('Complete').first().waitFor()
    await this.link('Open the record').waitFor()
  }

  /** What axe finds that is serious or worse, a line each. */
  async barriers() {
    await this.page.evaluate(axe)
    const found = await this.page.evaluate(async () => {
      const { violations, passes } = await window.axe.run(document, { resultTypes: ['violations'] })
      if (passes.length < 5) throw new Error('axe looked at nothing')
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary.replace(/\s+/g, ' ')}`))
    })
    return found
  }

  /** Pixels by which the page is wider than the window. */
  async overflow() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
  }

  async leave() {
    await this.context.close()
    if (this.complaints.length > 0) throw new Error(`the browser complained:\n${this.complaints.join('\n')}`)
  }
}
