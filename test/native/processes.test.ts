import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { type CallGraph, expectRight, FLAT, named, PLAIN } from './judging.ts'
import { openWorkshop, sample, sampleWhile, start, whyAbsent } from './sampling.ts'

/** Whose stack it is, on the real kernel. */
const absent = await whyAbsent()
const workshop = openWorkshop()
afterAll(() => workshop.close())

const SECONDS = '1.2'

if (absent) it(`processes: ${absent}`, context => context.skip(absent))

describe.skipIf(absent)('a process is known', () => {
  const STORM: CallGraph = { main: ['child', '*'], child: ['burn', 'running'], burn: [], running: ['*'] }

  it('when it lives ten milliseconds', async () => {
    const sampled = await sample([workshop.compile('storm.c', 'storm', ...PLAIN), '120'])
    expectRight(named(sampled, 'storm'), STORM)
    const children = new Set(named(sampled, 'storm').map(stack => stack.pid))
    expect(children.size).toBeGreaterThan(100)
  })

  it('when it lives ten milliseconds and was just executed', async () => {
    const sampled = await sample([workshop.compile('storm.c', 'storm2', ...PLAIN), '120', 'exec'])
    expectRight(named(sampled, 'storm2'), STORM, ['main'], 0.9)
  })

  it('by its start, as the process table computes it', async () => {
    const before = Date.now()
    const sampled = await sample([workshop.compile('flat.c', 'started', ...PLAIN), '0.3'])
    const starts = new Set(named(sampled, 'started').map(stack => stack.startMs))
    expect(starts.size).toBe(1)
    // btime is in whole seconds.
    const [start = 0] = starts
    expect(Math.abs(start - before)).toBeLessThan(3000)
  })

  it('by the names of its threads', async () => {
    const program = workshop.compile('threads.c', 'threads', ...PLAIN, '-lpthread')
    const stacks = named(await sample([program, SECONDS]), 'threads')
    for (const [leaf, thread] of [
      ['solve', 'solver'],
      ['output', 'writer'],
    ] as const) {
      const of = stacks.filter(stack => stack.frames.at(-1)?.function === leaf)
      expect(new Set(of.map(stack => stack.thread))).toEqual(new Set([thread]))
    }
  })

  it('by what it became: a shell that executes a program', async () => {
    const program = workshop.compile('flat.c', 'became', ...PLAIN)
    const sampled = await sample(['/bin/sh', '-c', `exec ${program} ${SECONDS}`])
    expectRight(named(sampled, 'became'), FLAT)
  })

  it('when its file was deleted and replaced while it runs', async () => {
    const program = workshop.compile('flat.c', 'deleted', ...PLAIN)
    const sampled = await sample([
      '/bin/sh',
      '-c',
      `${program} ${SECONDS} & sleep 0.05; rm ${program}; echo x > ${program}; wait`,
    ])
    expectRight(named(sampled, 'deleted'), FLAT)
  })

  it('in another mount namespace, where its path is another file', async context => {
    try {
      execFileSync('unshare', ['-m', 'true'])
    } catch {
      context.skip('no right to unshare(1) a mount namespace')
    }
    const program = workshop.compile('flat.c', 'contained', ...PLAIN)
    const hidden = workshop.path('hidden')
    execFileSync('mkdir', ['-p', hidden])
    const inside = `mount -t tmpfs none ${hidden} && cp ${program} ${hidden}/contained && exec ${hidden}/contained ${SECONDS}`
    const sampled = await sample(['unshare', '-m', '/bin/sh', '-c', inside])
    expectRight(named(sampled, 'contained'), FLAT)
  })

  it('by its control group, as the kernel tells it with each sample, also when it is gone', async context => {
    const group = `/sys/fs/cgroup/unified/jobsight-owner-${process.pid}`
    const program = workshop.compile('storm.c', 'grouped', ...PLAIN)
    let shell = 0
    const { stacks } = await sampleWhile({}, async () => {
      try {
        mkdirSync(group)
        readFileSync(`${group}/cgroup.procs`)
      } catch {
        return context.skip('no cgroups can be made in /sys/fs/cgroup/unified')
      }
      const storm = start(['/bin/sh', '-c', `echo $$ > ${group}/cgroup.procs; exec ${program} 60`])
      shell = storm.pid
      await storm.ended
      rmdirSync(group)
      return ['']
    })
    // The shell was elsewhere when it began.
    const children = stacks.filter(stack => stack.process === 'grouped' && stack.pid !== shell)
    expect(new Set(children.map(stack => stack.cgroup))).toEqual(new Set([`/jobsight-owner-${process.pid}`]))
    expect(new Set(children.map(stack => stack.pid)).size).toBeGreaterThan(30)
  })

  it('and harms nobody when it is stopped, killed or replaced in the middle of its samples', async () => {
    const [victim, bystander] = ['victim', 'bystander'].map(name => workshop.compile('flat.c', name, ...PLAIN))
    const ill = `for i in $(seq 30); do ${victim} 9 & kill -STOP $!; sleep 0.01; kill -CONT $!; sleep 0.02; kill -KILL $!; done; wait`
    const { stacks, counters } = await sampleWhile({}, async () => {
      const storm = start([workshop.compile('storm.c', 'replaced', ...PLAIN), '60', 'exec'])
      const all = [storm, start(['/bin/sh', '-c', ill]), start([bystander ?? '', SECONDS])]
      await Promise.all(all.map(program => program.ended))
      return ['']
    })
    expectRight(
      stacks.filter(stack => stack.process === 'bystander'),
      FLAT,
    )
    expect(stacks.some(stack => stack.process === 'victim')).toBe(true)
    expect(counters.lost).toBe(0)
  })
})
