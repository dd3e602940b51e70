/** The real page in a real browser, on the mock cluster. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Flame } from '../../query/api.ts'
import { missingChromium, openChromium } from './chromium.ts'
import { type Mock, startMock } from './mock/server.ts'
import { hearComplaints, walk } from './walk.ts'

if (missingChromium) process.stderr.write(`browser tests are skipped: ${missingChromium}\n`)

describe.skipIf(missingChromium !== undefined)('the page', () => {
  let browser: Browser
  let mock: Mock
  let root = ''

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'jobsight-ui-'))
    await build({ root: 'ui', logLevel: 'error', build: { outDir: root, emptyOutDir: true } })
    mock = await startMock({ root })
    browser = await openChromium()
  })
  afterAll(async () => {
    await browser?.close()
    await mock?.stop()
    await rm(root, { recursive: true, force: true })
  })

  async function open(
    hash: string,
    options: BrowserContextOptions = {},
  ): Promise<{ page: Page; complaints: string[] }> {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US', ...options })
    const page = await context.newPage()
    const complaints = hearComplaints(page)
    await page.goto(mock.url + hash)
    return { page, complaints }
  }

  it('walks cluster -> node -> process -> function, back, and to a job', async () => {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US' })
    const walked = await walk(await context.newPage(), mock.url)
    expect(walked).toMatchObject({
      cluster: 'mock',
      process: 'gmx',
      fn: 'nbnxn_kernel_ElecEw_VdwLJ_F_4xM',
      job: '1010_4',
      complaints: [],
    })
    expect(walked.share).toBeCloseTo(0.4, 2)
    await context.close()
  })

  it('a deep link shows exactly what was linked', async () => {
    const { page, complaints } = await open(
      '#/mock/job/1003/node/n07/process/4000?stacks=functions&find=mpi&fsort=total',
    )
    await page.locator('tr', { hasText: 'MPI_Alltoall' }).waitFor()
    expect(await page.locator('#find').inputValue()).toBe('mpi')
    expect(await page.locator('tr', { hasText: 'nbnxn_kernel' }).count()).toBe(0)
    expect(await page.locator('.crumbs li').allInnerTexts()).toHaveLength(4)
    expect(complaints).toEqual([])
    await page.context().close()
  })

  it('lays a job over another: numbers beside each other, one flame graph of both, and back', async () => {
    const { page, complaints } = await open('#/mock/job/1003')
    await page.getByRole('button', { name: /^Lay this over/ }).click()
    await page.getByLabel('any job, by its id').fill('1002')
    await page.getByRole('button', { name: 'Compare', exact: true }).click()
    await page.waitForURL('**against=job:1002')
    const sides = page.locator('.side-card')
    await sides.nth(1).getByText('wing-les-coarse').waitFor()
    const first = page.locator('section[aria-label="functions"] tbody tr').first()
    await first.getByText('nbnxn_kernel_ElecEw_VdwLJ_F_4xM').waitFor()
    expect(await first.textContent()).toMatch(/only in A/)
    await page.getByRole('tab', { name: 'CPU seconds' }).click()
    await page.waitForURL('**per=cpu')
    await page.getByRole('link', { name: 'swap A and B' }).click()
    await sides.nth(0).getByText('wing-les-coarse').waitFor()
    await first.getByText('only in B').waitFor()
    await page.getByRole('link', { name: 'back to A alone' }).click()
    await page.getByRole('heading', { name: /1002/ }).waitFor()
    expect(page.url()).not.toContain('against')
    expect(complaints).toEqual([])
    await page.context().close()
  })

  it('a brush is a question: the panels below answer for it, and the address has it', async () => {
    const { page, complaints } = await open('#/mock/node/n29?range=4h')
    const plot = page.locator('.stack .plot canvas').nth(1)
    const at = await plot.boundingBox()
    expect(at).not.toBeNull()
    const asked = page.waitForRequest(r => r.url().includes('/processes') && r.url().includes('from='))
    const y = (at?.y ?? 0) + 20
    await page.mouse.move((at?.x ?? 0) + 100, y)
    await page.mouse.down()
    await page.mouse.move((at?.x ?? 0) + 300, y, { steps: 4 })
    await page.mouse.up()
    await asked
    await page.locator('.brush .acts').waitFor()
    const hash = new URL(page.url()).hash
    expect(hash).toMatch(/sel=\d{4}-\d\d-\d\dT[\d:]+Z\.\.\d{4}/)
    await page.keyboard.press('+')
    expect(new URL(page.url()).hash).toMatch(/from=.*&to=/)
    await page.goBack()
    expect(new URL(page.url()).hash).toBe(hash)
    expect(complaints).toEqual([])
    await page.context().close()
  })

  it('the keyboard goes everywhere', async () => {
    const { page, complaints } = await open('#/mock')
    await page.locator('.hot-node').first().waitFor()
    await page.keyboard.press('?')
    await page.locator('dialog .keys').waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('/')
    await page.keyboard.type('lysozyme-npt')
    await page.keyboard.type(' ')
    await page.locator('#hits').waitFor({ state: 'attached' })
    await page.keyboard.press('Escape')
    await page.keyboard.press('/')
    await page.keyboard.type('n41')
    await page.locator('#hits .option').first().waitFor()
    await page.keyboard.press('Enter')
    await page.locator('.identity h1', { hasText: 'n41' }).waitFor()
    await page.keyboard.press('u')
    await page.locator('.hot-node').first().waitFor()
    await page.locator('[role=application]').first().focus()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await page.locator('.identity h1').waitFor()
    await page.keyboard.press('j')
    await page.locator('.tokens').waitFor()
    expect(complaints).toEqual([])
    await page.context().close()
  })

  it('transforms of the flame graph are chips in the address that can be taken back', async () => {
    const { page, complaints } = await open('#/mock/job/1003?t=focus:gmx_pme_do&t=module:libmpi.so.40&t=invert')
    await page.locator('.chip').nth(2).waitFor()
    await page.locator('.chip button').first().click()
    expect(new URL(page.url()).hash).not.toContain('focus')
    expect(await page.locator('.chip').count()).toBe(2)
    await page.goBack()
    await page.locator('.chip').nth(2).waitFor()
    expect(complaints).toEqual([])
    await page.context().close()
  })

  it('a closer look whose samples come after its end is shown when they are there', async () => {
    const { page, complaints } = await open('#/mock/node/n07')
    await page.route('**/api/v1/bursts/late*', async route => {
      const burst = await (await route.fetch()).json()
      await route.fulfill({ json: { ...burst, updatedMs: Date.now() } })
    })
    let early = 2
    await page.route(/\/flame\?.*burst=late/, async route => {
      const flame: Flame = await (await route.fetch()).json()
      const tree = Object.fromEntries(Object.keys(flame.tree).map(name => [name, []]))
      const coverage = { ...flame.coverage, samples: 0 }
      await route.fulfill({ json: early-- > 0 ? { ...flame, tree, coverage } : flame })
    })
    await page.goto(`${mock.url}#/mock/node/n07?burst=late`)
    await page.getByText('The first samples come within some seconds').waitFor()
    await page.locator('.flame canvas').first().waitFor()
    expect(early).toBeLessThan(0)
    expect(complaints).toEqual([])
    // An answer may be on its way through a route still.
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    await page.context().close()
  })

  it('a sheet is seen whole, also where it is opened from the only row of a list', async () => {
    const { page, complaints } = await open('#/mock/alerts')
    await page.locator('.alerts tbody tr').first().waitFor()
    await page.evaluate(() => {
      for (const row of [...document.querySelectorAll('.alerts tbody tr')].slice(1)) row.remove()
    })
    await page.locator('.alerts .over > button').first().click()
    const box = await page.locator('.over > .sheet').boundingBox()
    const { x = 0, y = 0, width = 0, height = 0 } = box ?? {}
    expect(height).toBeGreaterThan(100)
    const isSeen = ([left, top]: readonly [number, number]) =>
      document.elementFromPoint(left, top)?.closest('.sheet') !== null
    for (const at of [
      [x + 4, y + 4],
      [x + width - 4, y + height - 4],
    ] as const)
      expect(await page.evaluate(isSeen, at)).toBe(true)
    expect(complaints).toEqual([])
    await page.context().close()
  })

  it('speaks 中文, in the dark and in the light, without a word below 12 px', async () => {
    for (const colorScheme of ['dark', 'light'] as const) {
      const { page, complaints } = await open('#/mock', { locale: 'zh-CN', colorScheme })
      await page.locator('h2', { hasText: '热点节点' }).waitFor()
      const small = await page.evaluate(() =>
        [...document.querySelectorAll('body *')]
          .filter(e => (e.textContent ?? '').trim() !== '' && Number.parseFloat(getComputedStyle(e).fontSize) < 12)
          .map(e => e.outerHTML.slice(0, 80)),
      )
      expect(small).toEqual([])
      expect(complaints).toEqual([])
      await page.context().close()
    }
  })

  it('tells what failed and what to do', async () => {
    const { page } = await open('#/mock/job/4711')
    await page.locator('.state.failed', { hasText: 'go back to the list' }).waitFor()
    await page.goto(`${mock.url}#/nowhere`)
    await page.locator('.state', { hasText: 'nowhere' }).waitFor()
    await page.context().close()
  })

  it('every picture is also a table', async () => {
    const { page, complaints } = await open('#/mock/node/n64')
    await page.locator('.why', { hasText: 'psi=1' }).waitFor()
    await page
      .locator('section', { has: page.locator('.stack') })
      .locator('button[aria-pressed=false]')
      .first()
      .click()
    await page.locator('th', { hasText: 'pressure_cpu_some' }).waitFor()
    expect(complaints).toEqual([])
    await page.context().close()
  })
})
