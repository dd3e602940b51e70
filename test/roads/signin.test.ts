/** A server that others reach, as an administrator sets it up: users, a token for collectors, and the page in a real browser. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { missingChromium, openChromium } from '../ui/chromium.ts'
import { MAIN, type Program, startProgram } from './program.ts'

const dir = mkdtempSync(join(tmpdir(), 'jobsight-signin-'))
const PASSWORD = 'correct horse battery'
const FILES = [
  '--set',
  `access.users=${join(dir, 'users.yaml')}`,
  '--set',
  `access.collectors=${join(dir, 'tokens.yaml')}`,
]
const jobsight = (args: string[], input = '') =>
  execFileSync(process.execPath, [MAIN, ...args], { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })

let program: Program

beforeAll(async () => {
  for (const [name = '', role = ''] of [
    ['ann', 'user'],
    ['bob', 'user'],
    ['root', 'admin'],
  ])
    jobsight(['user', 'add', name, '--role', role, ...FILES], `${PASSWORD}\n`)
  program = await startProgram('serve', ['--cluster', 'hpc1', '--listen', '0.0.0.0:0', ...FILES])
})
afterAll(async () => {
  await program?.stop()
  rmSync(dir, { recursive: true })
})

describe('a server that others reach', () => {
  it('does not start without sign-in, and says what to do', () => {
    const start = () => jobsight(['serve', '--listen', '0.0.0.0:0', '--data', join(dir, 'none')])
    expect(start).toThrow('everyone on the network would see every job, process and stack')
    expect(start).toThrow('jobsight user add NAME --role admin')
  })

  it('takes jobs with the token of their cluster, and no others', () => {
    const tokenFile = join(dir, 'token')
    const tell = (id: string, user: string, cluster: string, token: string) => {
      writeFileSync(tokenFile, token)
      return jobsight([
        'job',
        'start',
        id,
        `name=relax-${user}`,
        `user=${user}`,
        'nodes=n1',
        '--cluster',
        cluster,
        '--endpoint',
        program.url,
        '--token-file',
        tokenFile,
      ])
    }
    const token = jobsight(['token', 'hpc1', ...FILES])
    expect(tell('1', 'ann', 'hpc1', token)).toContain('job 1 of hpc1: running')
    expect(tell('2', 'bob', 'hpc1', token)).toContain('job 2 of hpc1: running')
    expect(() => tell('3', 'eve', 'hpc1', 'jsc_another-token-of-nobody')).toThrow('401')
    expect(() => tell('3', 'eve', 'hpc2', token)).toThrow('403')
  })

  it('shows the way in, then each their own, and lets go', { timeout: 120_000 }, async ctx => {
    if (missingChromium) return ctx.skip(missingChromium)
    const browser = await openChromium()
    try {
      const page = await browser.newPage()
      await page.goto(`${program.url}/#/hpc1/jobs`)
      await signIn(page, 'ann', 'not the password')
      await page.getByText('user or password is wrong').waitFor()
      await signIn(page, 'ann', PASSWORD)
      await page.getByText('relax-ann').first().waitFor()
      expect(await page.getByText('relax-bob').count()).toBe(0)
      await page.getByRole('button', { name: 'Who is signed in' }).click()
      await page.getByText('Sees own jobs').waitFor()
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByText('Sign in to Jobsight').waitFor()
      expect(await page.getByText('relax-ann').count()).toBe(0)
      await signIn(page, 'root', PASSWORD)
      await page.getByText('relax-bob').first().waitFor()
      await page.getByText('relax-ann').first().waitFor()
    } finally {
      await browser.close()
    }
  })
})

async function signIn(page: Page, user: string, password: string): Promise<void> {
  await page.getByLabel('User').fill(user)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
}
