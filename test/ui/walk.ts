/**
 * The walk that Jobsight is for: cluster -> node -> process -> function, and by way of a job, on any server that has data.
 * Each step goes by what a person sees and clicks; what stands on the page at each is handed back.
 */
import type { Page } from 'playwright-core'

export interface Walked {
  cluster: string
  node: string
  process: string
  /** Hottest function of the process, and the share of its own time. */
  fn: string
  share: number
  /** A job that was walked to, where the server knows one. */
  job: string | undefined
  /** What the browser complained of: must be empty. */
  complaints: string[]
}

const SECONDS = 1000

/** Errors and warnings of the console, thrown errors, answers that failed. */
export function hearComplaints(page: Page): string[] {
  const complaints: string[] = []
  page.on('console', message => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(`${error.message}\n${error.stack ?? ''}`))
  page.on('response', response => {
    if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`)
  })
  return complaints
}

const text = async (page: Page, selector: string): Promise<string> =>
  (
    (await page
      .locator(selector)
      .first()
      .textContent({ timeout: 20 * SECONDS })) ?? ''
  ).trim()

/** `pid`: the process to go to; absent: the first of the top processes. */
export async function walk(page: Page, baseUrl: string, pid?: number): Promise<Walked> {
  const complaints = hearComplaints(page)
  await page.goto(baseUrl)
  const cluster = await text(page, '.crumbs a.here')
  await page
    .locator('.stack canvas')
    .first()
    .waitFor({ timeout: 20 * SECONDS })
  const node = await toHottestNode(page)
  const process = await toTopProcess(page, pid)
  const { fn, share } = await toHottestFunction(page)
  await backUpTo(page, baseUrl)
  const job = await toJob(page)
  return { cluster, node, process, fn, share, job, complaints }
}

/** The first of the ten hottest leads to its node. */
async function toHottestNode(page: Page): Promise<string> {
  const link = page.locator('.hot-node .name').first()
  const node = ((await link.textContent({ timeout: 20 * SECONDS })) ?? '').trim()
  await link.click()
  await page.locator('.identity h1', { hasText: node }).waitFor({ timeout: 20 * SECONDS })
  await page
    .locator('.stack .legend')
    .first()
    .waitFor({ timeout: 20 * SECONDS })
  return node
}

/** One of the top processes leads to its page. */
async function toTopProcess(page: Page, pid?: number): Promise<string> {
  const wanted = pid === undefined ? '/process/' : `/process/${pid}?`
  const link = page.locator(`section:has(.table) td a[href*="${wanted}"]`).first()
  await link.waitFor({ timeout: 30 * SECONDS })
  const name = await text(page, `td a[href*="${wanted}"] .main`)
  await link.click()
  await page.locator('.identity h1', { hasText: name }).waitFor({ timeout: 20 * SECONDS })
  await page.locator('.flame canvas').waitFor({ timeout: 30 * SECONDS })
  return name
}

/** The function table, most own time first; its first row leads to the sandwich of that function. */
async function toHottestFunction(page: Page): Promise<{ fn: string; share: number }> {
  await page.getByRole('tab').nth(2).click()
  const row = page.locator('tr:has(a[href*="stacks=sandwich"])').first()
  const link = row.locator('a').first()
  await link.waitFor({ timeout: 20 * SECONDS })
  const fn = ((await link.textContent()) ?? '').trim()
  const share = Number.parseFloat((await row.locator('td').nth(2).textContent()) ?? '') / 100
  await link.click()
  await page
    .locator('.flame canvas')
    .nth(1)
    .waitFor({ timeout: 20 * SECONDS })
  return { fn, share }
}

/** Back takes every step back, one at a time, to where the walk began. */
async function backUpTo(page: Page, baseUrl: string): Promise<void> {
  for (let steps = 0; steps < 8; steps++) {
    if (!/\/(node|process)\//.test(new URL(page.url()).hash)) return
    await page.goBack()
  }
  throw new Error(`Back did not lead from ${page.url()} to ${baseUrl}`)
}

/** The newest job that has run leads to its page, with its nodes compared. */
async function toJob(page: Page): Promise<string | undefined> {
  await page.locator('.bar a[href*="/jobs"]').first().click()
  await page.locator('.tokens').waitFor({ timeout: 20 * SECONDS })
  const rows = page.locator('tr:has(.running, .completed) a[href*="/job/"]')
  await page
    .locator('.table, .state b')
    .first()
    .waitFor({ timeout: 20 * SECONDS })
  if ((await rows.count()) === 0) return undefined
  const id = ((await rows.first().locator('.main').textContent()) ?? '').trim()
  await rows.first().click()
  await page.locator('.identity h1', { hasText: id }).waitFor({ timeout: 20 * SECONDS })
  await page
    .locator('.stack canvas')
    .first()
    .waitFor({ timeout: 20 * SECONDS })
  return id
}
