import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Person, openBrowser } from './browser.mjs'
import { everyPage } from './pages.mjs'
import { ADMIN, Gateway } from './programs.mjs'

let gateway, browser, pages

before(async () => {
  gateway = await Gateway.start()
  browser = await openBrowser()
  pages = await everyPage(gateway)
})

after(async () => {
  await browser?.close()
  await gateway?.stop()
})

for (const theme of ['light', 'dark']) {
  test(`axe finds nothing serious on any page in the ${theme} theme`, async () => {
    const person = await Person.at(browser, gateway, { theme })
    await person.page.goto(`${gateway.adminUrl}/login`)
    await person.page.locator('input[name=username]').waitFor()
    const found = { '/login': await person.barriers() }
    await person.signIn(ADMIN)
    for (const path of pages) {
      await person.open(path)
      found[path] = await person.barriers()
    }
    assert.deepEqual(Object.fromEntries(Object.entries(found).filter(([, barriers]) => barriers.length > 0)), {})
    await person.leave()
  })
}

for (const language of ['en', 'zh-CN']) {
  test(`nothing breaks at 375 px in ${language}`, async () => {
    const person = await Person.at(browser, gateway, { width: 375, height: 740, language })
    await person.signIn(ADMIN)
    const wide = {}
    for (const path of pages) {
      await person.open(path)
      const pixels = await person.overflow()
      if (pixels > 0) wide[path] = pixels
    }
    assert.deepEqual(wide, {})
    await person.leave()
  })
}

test('all pages are reached by keyboard, from the first one', async () => {
  const person = await Person.at(browser, gateway)
  await person.signIn(ADMIN)
  await person.settled()
  const links = person.page.getByRole('navigation', { name: 'Pages' }).getByRole('link')
  const titles = (await links.allInnerTexts()).map((title) => title.trim()).slice(1)
  for (const title of titles) {
    await tabTo(person.page, title)
    await person.page.keyboard.press('Enter')
    await person.page.locator('nav [aria-current=page]', { hasText: title }).first().waitFor()
    await person.settled()
  }
  await person.leave()
})

test('a thing is made by keyboard alone', async () => {
  const person = await Person.at(browser, gateway)
  const { page } = person
  await page.goto(`${gateway.adminUrl}/login`)
  await page.locator('input[name=username]:focus').waitFor()
  await page.keyboard.type(ADMIN.name)
  await page.keyboard.press('Tab')
  await page.keyboard.type(ADMIN.password)
  await page.keyboard.press('Enter')
  await page.waitForURL((url) => url.pathname === '/')
  await person.settled()
  await tabTo(page, 'Account groups')
  await page.keyboard.press('Enter')
  await page.waitForURL(/account-groups$/)
  await person.settled()
  await tabTo(page, 'New account group')
  await page.keyboard.press('Enter')
  await page.waitForURL(/account-groups\/new$/)
  await person.settled()
  await tabTo(page, 'Name')
  await page.keyboard.type('by keyboard')
  await tabTo(page, 'Accounts', 'combobox')
  await page.keyboard.press('Enter')
  await page.locator('.el-select-dropdown__item:visible').first().waitFor()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Escape')
  await tabTo(page, 'Create')
  await page.keyboard.press('Enter')
  await page.waitForURL(/account-groups$/)
  const { account_groups: groups } = await gateway.admin.get('/api/admin/account-groups')
  assert.equal(groups.find(({ name }) => name === 'by keyboard').account_ids.length, 1)
  await person.leave()
})

/** Presses Tab until what has the focus is called so; what has it must show it. */
async function tabTo(page, name, role) {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab')
    const found = await page.evaluate(([name, role]) => {
      const element = document.activeElement
      const label = element.getAttribute('aria-label') ?? (element.labels?.[0]?.textContent ?? element.textContent)
      return label?.trim() === name && (!role || element.getAttribute('role') === role)
    }, [name, role ?? ''])
    if (found) return
  }
  throw new Error(`Tab does not lead to ${name}`)
}
