/**
 * A closer look, asked for on the page of a busy process, runs on the node by the stack sampler, is watched on the page while it
 * runs, and its flame graph is of nothing else. Then by the API.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Burst, Bursts, Functions, Nodes, Processes } from '../../query/api.ts'
import { missingAddon } from '../addon.ts'
import { missingChromium, openChromium } from '../ui/chromium.ts'
import { ask, type Program, startProgram, until } from './program.ts'

let program: Program
let busy: ChildProcess
let other: ChildProcess
let node = ''

const loop = () => spawn('python3', ['-c', 'while 1: pass'], { stdio: 'ignore' })

beforeAll(async () => {
  busy = loop()
  other = loop()
  program = await startProgram('start', ['--set', 'collector.scheduler.kind=none'])
  const { nodes } = await until(
    () => ask<Nodes>(program.url, 'nodes'),
    answer => answer.nodes.length === 1,
    'the node',
    120_000,
  )
  node = nodes[0]?.node ?? ''
}, 240_000)
afterAll(async () => {
  busy?.kill('SIGKILL')
  other?.kill('SIGKILL')
  await program?.stop()
})

async function post(body: object): Promise<{ status: number; told: Burst & { error?: { message: string } } }> {
  const answer = await fetch(`${program.url}/api/v1/bursts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: answer.status, told: await answer.json() }
}

const over = (id: string) =>
  until(
    () => ask<Burst>(program.url, `bursts/${id}`),
    burst => burst.state !== 'asked' && burst.state !== 'running',
    'the end of the burst',
  )

async function lookOnPage(page: Page, pid: number, start: number): Promise<string> {
  await page.goto(`${program.url}/#/local/node/${node}/process/${pid}?start=${start}`)
  await page.getByRole('button', { name: /Sample this at a high rate/ }).click()
  await page.getByLabel('samples a second').selectOption('997')
  await page.getByLabel('for', { exact: true }).selectOption('10')
  await page.getByRole('button', { name: 'Start' }).click()
  const strip = page.locator('.closer-strip')
  await strip.getByText('Closer look, 997 Hz').waitFor()
  await strip.getByText(/runs, \d+ of 10 s/).waitFor()
  const id = /burst=([\w-]+)/.exec(page.url())?.[1] ?? ''
  await strip.getByText('10 s, done').waitFor({ timeout: 60_000 })
  return id
}

describe('a burst', () => {
  it('is asked for, watched and found on the page', { timeout: 180_000 }, async ctx => {
    const missing = missingAddon ?? missingChromium
    if (missing) return ctx.skip(missing)
    // The page's window ends some seconds ago: a process that is newer than that it cannot open.
    const seen = await until(
      () => ask<Processes>(program.url, `processes?node=${node}&limit=200&to=${Date.now() - 10_000}`),
      answer => answer.processes.some(p => p.pid === busy.pid),
      'the loop among the processes',
    )
    const start = seen.processes.find(p => p.pid === busy.pid)?.start ?? 0
    const browser = await openChromium()
    try {
      const page = await browser.newPage()
      page.setDefaultTimeout(60_000)
      const complaints: string[] = []
      page.on('console', message => {
        if (message.type() === 'error') complaints.push(`${message.text()} ${message.location().url}`)
      })
      page.on('pageerror', error => void complaints.push(String(error)))
      const id = await lookOnPage(page, busy.pid ?? 0, start)
      // The picture holds the burst: the functions of the loop, at its rate.
      await page.getByRole('tab', { name: 'functions', exact: false }).click()
      await page
        .getByText(/<module>|PyEval/)
        .first()
        .waitFor()
      const functions = await ask<Functions>(program.url, `functions?burst=${id}`)
      expect(functions.coverage.samples).toBeGreaterThan(200)
      // Found again from the same process by whoever comes later, and left for the continuous profile.
      await page.getByRole('button', { name: 'back to the continuous profile' }).click()
      expect(page.url()).not.toContain('burst=')
      await page.getByRole('button', { name: /Sample this at a high rate/ }).click()
      await page.locator(`.closer .option[href*="burst=${id}"]`).click()
      await page.waitForURL(`**burst=${id}**`)
      expect(complaints).toEqual([])
    } finally {
      await browser.close()
    }
    const { bursts } = await ask<Bursts>(program.url, `bursts?node=${node}&pid=${busy.pid}`)
    expect(bursts[0]).toMatchObject({ state: 'done', hz: 997, start })
  })

  it('of a process is of that process alone, and not part of the continuous profile', {
    timeout: 120_000,
  }, async ctx => {
    if (missingAddon) return ctx.skip(missingAddon)
    const { status, told } = await post({ node, pid: other.pid, hz: 499, seconds: 10 })
    expect(status, JSON.stringify(told)).toBe(201)
    const burst = await over(told.id)
    expect(burst).toMatchObject({ state: 'done', pid: other.pid })
    const whose = async (pid: number | undefined) =>
      (await ask<Functions>(program.url, `functions?burst=${told.id}&pid=${pid}`)).coverage.samples
    const all = await until(
      () => ask<Functions>(program.url, `functions?burst=${told.id}`),
      answer => answer.coverage.samples >= burst.samples,
      'its samples',
    )
    expect(all.coverage.samples).toBe(burst.samples)
    expect(await whose(other.pid)).toBe(burst.samples)
    expect(await whose(busy.pid)).toBe(0)
    // At 19 Hz a process has no more samples than that in the window of the burst.
    const { from, to } = burst
    const continuous = await ask<Functions>(program.url, `functions?pid=${other.pid}&from=${from}&to=${to}`)
    expect(continuous.coverage.samples).toBeLessThan(burst.samples / 4)
  })

  it('is refused by the node with its reason', { timeout: 60_000 }, async () => {
    const gone = spawn('true')
    await new Promise(resolve => gone.once('exit', resolve))
    const { status, told } = await post({ node, pid: gone.pid })
    expect(status).toBe(201)
    expect(await over(told.id)).toMatchObject({ state: 'refused', reason: `process ${gone.pid} is gone` })
  })
})
