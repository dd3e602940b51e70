import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { perfSampler } from '../../../collector/perf.ts'
import type { Sampler, StackWindow } from '../../../collector/sampler.ts'

const ROOT = '__libc_start_call_main,__libc_start_main,_start'
const log = pino({ level: 'silent' })
const deps = { log, proc: '/proc', now: Date.now, monotonic: () => Number(process.hrtime.bigint()) / 1e6 }
const OPTIONS = { hz: 49, windowMs: 2000, includeIdle: false, stackBytes: 16_384 }

/** Each sample of a program, as `leaf<…<root` with its weight in ms. */
function stacksOf(windows: StackWindow[], program: string): { stack: string[]; ms: number }[] {
  return windows.flatMap(({ samples, processes, stacks, frames, strings }) =>
    Array.from(samples.stack, (stack, at) => ({
      program: processes[samples.process[at] ?? 0]?.name,
      stack: Array.from(
        stacks.frames.subarray(stacks.offsets[stack], stacks.offsets[stack + 1]),
        frame => strings[frames.function[frame] ?? 0] ?? '',
      ),
      ms: (samples.periodNs[at] ?? 0) / 1e6,
    })).filter(sample => sample.program === program),
  )
}

const sum = (stacks: { ms: number }[]) => stacks.reduce((total, s) => total + s.ms, 0)

describe('perf(1)', async () => {
  const probe = await perfSampler(deps)(OPTIONS)
  const reason = 'absent' in probe ? probe.absent : ''
  if (!('absent' in probe)) await probe.stop()

  describe.skipIf(reason !== '')(`samples this machine${reason && ` (skipped: ${reason})`}`, () => {
    let folder: string
    let program: ChildProcess
    let sampler: Sampler
    const windows: StackWindow[] = []
    const pids = new Set<number>()
    const startedMs = Date.now()

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'jobsight-perf-'))
      const split = join(folder, 'split603010')
      execFileSync('cc', ['-O2', '-fomit-frame-pointer', '-o', split, 'test/fixtures/profiles/programs/split.c'])
      const started = await perfSampler(deps)(OPTIONS)
      if ('absent' in started) throw new Error(started.absent)
      sampler = started
      // Machines that run tests are busy, and a program with an odd ELF file makes perf script crash: until there is enough.
      for (let round = 0; round < 8 && sum(stacksOf(windows, 'split603010')) < 4000; round++) {
        program = spawn(split, ['4'], { stdio: 'ignore' })
        pids.add(program.pid ?? 0)
        await new Promise(resolve => program.on('exit', resolve))
        await new Promise(resolve => setTimeout(resolve, 2000))
        windows.push(...(await sampler.drain()))
      }
      await sampler.stop()
      windows.push(...(await sampler.drain()))
    })

    afterAll(() => {
      program?.kill()
      rmSync(folder, { recursive: true, force: true })
    })

    it('finds the known shares of an optimised program without frame pointers', () => {
      const stacks = stacksOf(windows, 'split603010')
      const share = (leaf: string) => sum(stacks.filter(s => s.stack[0] === leaf)) / sum(stacks)
      expect(sum(stacks)).toBeGreaterThan(4000)
      expect(Math.abs(share('solve') - 0.6)).toBeLessThan(0.05)
      expect(Math.abs(share('assemble') - 0.3)).toBeLessThan(0.05)
      expect(Math.abs(share('output') - 0.1)).toBeLessThan(0.05)
    })

    it('gives complete stacks, through libc to the start, also of a program that was started after perf', () => {
      const stacks = stacksOf(windows, 'split603010').filter(s => s.stack.includes('step'))
      const complete = stacks.filter(s => s.stack.join().endsWith(`step,main,${ROOT}`))
      const cut = stacks.filter(s => !complete.includes(s)).map(s => s.stack.join('<'))
      expect(sum(complete) / sum(stacks), cut.slice(0, 3).join(' ')).toBeGreaterThan(0.97)
    })

    it('knows the process, leaves the idle task out, keeps to the clock', () => {
      const processes = windows.flatMap(w => w.processes)
      const found = processes.find(p => p.name === 'split603010')
      expect(pids).toContain(found?.pid)
      expect(Math.abs((found?.startMs ?? 0) - startedMs)).toBeLessThan(60_000)
      expect(processes.filter(p => p.pid === 0)).toEqual([])
      expect(windows.length).toBeGreaterThan(1)
      for (const window of windows) {
        expect(window.startMs).toBeGreaterThanOrEqual(startedMs - 5000)
        expect(window.endMs).toBeGreaterThan(window.startMs)
        expect(window.endMs).toBeLessThanOrEqual(Date.now() + OPTIONS.windowMs)
      }
      expect(sampler.status).toMatchObject({ kind: 'perf', clock: 'cpu-clock', hz: 49 })
    })
  })
})
