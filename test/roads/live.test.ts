/**
 * The promise of the README: one command on any Linux machine, and a busy loop can be walked to, from the cluster down to
 * its function, by the page and by the API alike.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Clusters, Flame, Functions, Nodes, Processes } from '../../query/api.ts'
import { missingChromium, openChromium } from '../ui/chromium.ts'
import { walk } from '../ui/walk.ts'
import { ask, type Program, startProgram, until } from './program.ts'

let program: Program
let busy: ChildProcess

beforeAll(async () => {
  busy = spawn('python3', ['-c', 'while 1: pass'], { stdio: 'ignore' })
  program = await startProgram('start', ['--set', 'collector.scheduler.kind=none'])
})
afterAll(async () => {
  busy?.kill('SIGKILL')
  await program?.stop()
})

const functionsOfLoop = () => ask<Functions>(program.url, `functions?pid=${busy.pid}&sort=self&limit=5`)

describe('jobsight start on this machine', () => {
  it('leads by the API from the cluster to the function of a busy loop', { timeout: 200_000 }, async () => {
    const functions = await until(functionsOfLoop, f => f.coverage.samples >= 20, 'stacks of the busy loop')
    expect(functions.functions[0]?.function).toMatch(/PyEval|<module>/)
    expect(functions.functions[0]?.selfShare).toBeGreaterThan(0.3)

    const { clusters } = await until(
      () => ask<Clusters>(program.url, 'clusters'),
      answer => answer.clusters[0]?.nodesUp === 1,
      'the first tick',
    )
    expect(clusters).toMatchObject([{ cluster: 'local', simulated: false, nodes: 1, nodesUp: 1 }])
    const { nodes } = await ask<Nodes>(program.url, 'nodes')
    const node = nodes[0]?.node ?? ''
    expect(nodes[0]?.values.cpu_busy).toBeGreaterThan(0.1)
    const loopOf = (answer: Processes) => answer.processes.find(p => p.pid === busy.pid)
    const table = () => ask<Processes>(program.url, `processes?node=${node}&limit=100`)
    const loop = loopOf(await until(table, answer => loopOf(answer)?.sampled === true, 'the loop among the processes'))
    expect(loop).toMatchObject({ name: 'python3', sampled: true })
    expect(loop?.cpuUser).toBeGreaterThan(0)
  })

  it('gives the same total as flame graph, bottom-up and function table', { timeout: 120_000 }, async () => {
    const closed = async () => {
      const to = Date.now() - 15_000
      const scope = `pid=${busy.pid}&from=${to - 600_000}&to=${to}`
      return { scope, down: await ask<Flame>(program.url, `flame?${scope}`) }
    }
    const { scope, down } = await until(closed, answer => answer.down.seconds > 0, 'stacks in a closed window')
    const up = await ask<Flame>(program.url, `flame?${scope}&direction=bottomup`)
    const table = await ask<Functions>(program.url, `functions?${scope}&limit=1000`)
    const sum = table.functions.reduce((total, f) => total + f.self, table.other.self)
    expect(up.seconds).toBeCloseTo(down.seconds, 6)
    expect(table.seconds).toBeCloseTo(down.seconds, 6)
    expect(sum).toBeCloseTo(down.seconds, 6)
  })

  it('leads by the page through all four levels without a complaint of the browser', {
    timeout: 180_000,
  }, async ctx => {
    if (missingChromium) return ctx.skip(missingChromium)
    const browser = await openChromium()
    try {
      const page = await browser.newPage()
      // Its own, not the top one: on a machine where others run, that one may have ended before it was sampled.
      const walked = await walk(page, program.url, busy.pid)
      expect(walked.complaints).toEqual([])
      expect(walked).toMatchObject({ cluster: 'local' })
      expect(walked.process).not.toBe('')
      expect(walked.fn).not.toBe('')
      expect(walked.share).toBeGreaterThan(0)
    } finally {
      await browser.close()
    }
  })

  it('ends on SIGTERM with what it had written, and refuses a second one on its data', async () => {
    const second = startProgram('start', ['--data', `${program.folder}/data`])
    await expect(second).rejects.toThrow(new RegExp(`pid ${program.child.pid}|process ${program.child.pid}`))
    expect(program.log()).not.toMatch(/"level":(50|60)/)
    expect(await program.stop()).toBe(0)
  })
})
