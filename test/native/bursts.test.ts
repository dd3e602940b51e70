import { mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import type { BurstOptions } from '../../collector/sampler.ts'
import { drawn } from './judging.ts'
import { openWorkshop, type SampledStack, sample, sampleWhile, start, startBurst, whyAbsent } from './sampling.ts'

/** Closer looks beside the continuous profile, on the real kernel. */
const absent = await whyAbsent()
const workshop = openWorkshop()
afterAll(() => workshop.close())

const count = (stacks: readonly SampledStack[]) => stacks.reduce((sum, stack) => sum + stack.count, 0)
const ofBurst = (stacks: readonly SampledStack[], burst: string) => stacks.filter(stack => stack.burst === burst)
const pidsOf = (stacks: readonly SampledStack[]) => new Set(stacks.map(stack => stack.pid))

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setTimeout(resolve, 10))
}

if (absent) it(`bursts: ${absent}`, context => context.skip(absent))

describe.skipIf(absent)('a burst', () => {
  it('looks at one process closely, beside the continuous profile', async () => {
    const program = workshop.compile('flat.c', 'close')
    const sampled = await sample([program, '1.2'], { hz: 49, burst: { hz: 1999 } })
    const [burst = [], continuous = []] = ['b', ''].map(id => ofBurst(sampled.stacks, id))
    expect(pidsOf(burst)).toEqual(new Set([sampled.pid]))
    const right = burst.filter(stack => /main > (work > f\d0|running.*)$/.test(drawn(stack)))
    expect(count(right) / count(burst)).toBeGreaterThan(0.9)
    expect(count(burst)).toBeGreaterThan(10 * count(continuous.filter(stack => stack.pid === sampled.pid)))
    expect(sampled.counters.lost).toBe(0)
  })

  it('takes in threads and children, those that were there and those that come', async () => {
    const storm = workshop.compile('storm.c', 'family')
    const threads = workshop.compile('threads.c', 'threads', '-lpthread')
    const { stacks } = await sampleWhile({ hz: 19 }, async sampler => {
      const stranger = start([workshop.compile('flat.c', 'stranger'), '1'])
      const family = start(['/bin/sh', '-c', `${threads} 1 & ${storm} 60; wait`])
      const children = () => readFileSync(`/proc/${family.pid}/task/${family.pid}/children`, 'utf8').trim().split(' ')
      await until(() => children().length === 2)
      startBurst(sampler, { target: { pid: family.pid } })
      await Promise.all([stranger.ended, family.ended])
      return ['', 'b']
    })
    const burst = ofBurst(stacks, 'b')
    expect(new Set(burst.map(stack => stack.process))).not.toContain('stranger')
    expect(new Set(ofBurst(stacks, '').map(stack => stack.process))).toContain('stranger')
    for (const thread of ['solver', 'writer', 'family']) expect(burst.some(stack => stack.thread === thread)).toBe(true)
    expect(pidsOf(burst.filter(stack => stack.process === 'family')).size).toBeGreaterThan(30)
  })

  for (const [which, root] of [
    ['the hierarchy of perf events', '/sys/fs/cgroup/unified'],
    ['another hierarchy', '/sys/fs/cgroup/freezer'],
  ] as const)
    it(`looks at a cgroup of ${which}, with those below it`, async context => {
      const path = `/jobsight-test-${process.pid}`
      try {
        mkdirSync(`${root}${path}/step_0`, { recursive: true })
        readFileSync(`${root}${path}/cgroup.procs`)
      } catch {
        return context.skip(`no cgroups can be made in ${root}`)
      }
      const procs = `${root}${path}/step_0/cgroup.procs`
      const { stacks } = await sampleWhile({ hz: 19 }, async sampler => {
        const stranger = start([workshop.compile('flat.c', 'outside'), '0.5'])
        const job = start(['/bin/sh', '-c', `echo $$ > ${procs}; exec ${workshop.compile('storm.c', 'inside')} 50`])
        await until(() => readFileSync(procs, 'utf8') !== '')
        startBurst(sampler, { target: { cgroup: path } })
        await Promise.all([stranger.ended, job.ended])
        return ['', 'b']
      })
      for (const below of ['/step_0', '']) rmdirSync(`${root}${path}${below}`)
      const names = new Set(ofBurst(stacks, 'b').map(stack => stack.process))
      expect(names).toContain('inside')
      expect(names).not.toContain('outside')
    })

  it('ends by itself or when it is told to, and the continuous profile goes on', async () => {
    const program = workshop.compile('flat.c', 'lasting')
    const { stacks } = await sampleWhile({ hz: 199 }, async sampler => {
      const lasting = start([program, '60'])
      const brief = startBurst(sampler, { burst: 'brief', durationMs: 300, target: { pid: lasting.pid } })
      expect(brief.hz).toBe(499)
      expect(Math.abs(brief.endsMs - Date.now() - 300)).toBeLessThan(5000)
      const stopped = startBurst(sampler, { burst: 'stopped', target: { pid: lasting.pid } })
      await new Promise(resolve => setTimeout(resolve, 700))
      stopped.stop()
      await new Promise(resolve => setTimeout(resolve, 1500))
      lasting.kill()
      await lasting.ended
      return ['']
    })
    const seconds = (burst: string) => ofBurst(stacks, burst).reduce((sum, stack) => sum + stack.periodNs, 0) / 1e9
    expect(seconds('brief')).toBeGreaterThan(0)
    expect(seconds('brief')).toBeLessThan(seconds('stopped'))
    expect(seconds('stopped')).toBeLessThan(seconds(''))
  })

  it('is refused with a reason', async () => {
    await sampleWhile({ hz: 19 }, async sampler => {
      const answer = (options: Partial<BurstOptions>) =>
        sampler.startBurst?.({ burst: 'b', hz: 99, durationMs: 1000, target: 'node', ...options })
      for (const [options, reason] of [
        [{ hz: 5000 }, /5000 Hz: a burst takes 1 to 2000/],
        [{ hz: 0.5 }, /a burst takes/],
        [{ durationMs: 3_600_000 }, /lasts up to 300 seconds/],
        [{ durationMs: Number.NaN }, /lasts up to 300 seconds/],
        [{ burst: '' }, /needs an id/],
        [{ target: { pid: 4_194_305 } }, /the process is gone/],
        [{ target: { pids: [] } }, /none was named/],
        [{ target: { pids: [-1] } }, /no such process: -1/],
        [{ target: { cgroup: '/no/such' } }, /there is no cgroup \/no\/such/],
        [{ target: { cgroup: '/../..' } }, /no path of a cgroup/],
      ] as const)
        expect(answer(options)).toEqual({ absent: expect.stringMatching(reason) })
      const many = Array.from({ length: 9 }, (_, index) => answer({ burst: `b${index}` }))
      expect(many.at(-1)).toEqual({ absent: expect.stringMatching(/8 bursts run on this node already/) })
      expect(many.slice(0, 8).filter(burst => burst && 'absent' in burst)).toEqual([])
      return []
    })
  })
})
