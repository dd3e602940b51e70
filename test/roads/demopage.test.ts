/** `jobsight demo` as a newcomer starts it: the page of a simulated cluster, walked in a real browser. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Clusters, JobDetail, Jobs } from '../../query/api.ts'
import { missingChromium, openChromium } from '../ui/chromium.ts'
import { walk } from '../ui/walk.ts'
import { ask, type Program, startProgram, until } from './program.ts'

let program: Program

beforeAll(async () => {
  program = await startProgram('demo', ['--nodes', '16', '--jobs', '4', '--hours', '0.5'])
})
afterAll(async () => {
  await program?.stop()
})

describe('jobsight demo', () => {
  it('fills the store by the real ingest and says that it is simulated', async () => {
    const { clusters } = await until(
      () => ask<Clusters>(program.url, 'clusters'),
      answer => (answer.clusters[0]?.nodesUp ?? 0) >= 14 && answer.clusters[0]?.simulated === true,
      'the end of the history',
      150_000,
    )
    expect(clusters).toMatchObject([{ cluster: 'demo', simulated: true, nodes: 16 }])
    const detailed = async (): Promise<JobDetail[]> => {
      const { jobs } = await ask<Jobs>(program.url, 'jobs')
      return Promise.all(jobs.map(job => ask<JobDetail>(program.url, `jobs/${job.id}`)))
    }
    const isWarned = (details: JobDetail[]) => details.some(d => d.findings.some(f => f.severity === 'warning'))
    const details = await until(detailed, found => found.length >= 4 && isWarned(found), 'jobs with warnings', 60_000)
    expect(details.length).toBeGreaterThanOrEqual(4)
  }, 180_000)

  it('leads through all four levels and to a job without a complaint of the browser', {
    timeout: 180_000,
  }, async ctx => {
    if (missingChromium) return ctx.skip(missingChromium)
    const browser = await openChromium()
    try {
      const walked = await walk(await browser.newPage(), program.url)
      expect(walked.complaints).toEqual([])
      expect(walked).toMatchObject({ cluster: 'demo' })
      expect(walked.job).toBeDefined()
      expect(walked.share).toBeGreaterThan(0)
    } finally {
      await browser.close()
    }
  })

  it('ends on SIGTERM', async () => {
    expect(await program.stop()).toBe(0)
  })
})
