/** Runs small programs with a known call graph under the real sampler, and judges every stack that comes of it. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startNative } from '../../collector/native.ts'
import type {
  Burst,
  BurstOptions,
  BurstTarget,
  Sampler,
  SamplerCounters,
  SamplerOptions,
  StackWindow,
} from '../../collector/sampler.ts'
import { FRAME_KINDS, type Frame } from '../../ingest/records.ts'

export interface SampledStack {
  pid: number
  startMs: number
  process: string
  thread: string
  cgroup: string
  burst: string
  /** Root first, as people read them. */
  frames: Frame[]
  count: number
  periodNs: number
}

const OPTIONS: SamplerOptions = { hz: 499, windowMs: 500, includeIdle: false, stackBytes: 16_384 }
const PROGRAMS = fileURLToPath(new URL('programs/', import.meta.url))

/** Why nothing can be sampled here; undefined where it can. */
export async function whyAbsent(): Promise<string | undefined> {
  const sampler = await startNative(OPTIONS)
  if ('absent' in sampler) return sampler.absent
  await sampler.stop()
  return undefined
}

export interface Workshop {
  /** Compiles a program of programs/ and returns its path. */
  compile(source: string, output: string, ...flags: string[]): string
  path(name: string): string
  source(name: string): string
  close(): void
}

export function openWorkshop(): Workshop {
  const directory = mkdtempSync(join(tmpdir(), 'jobsight-native-'))
  const path = (name: string) => join(directory, name)
  return {
    compile(source, output, ...flags) {
      const compiler = { cpp: 'g++', f90: 'gfortran' }[source.split('.')[1] ?? ''] ?? 'gcc'
      execFileSync(compiler, ['-O2', '-o', path(output), join(PROGRAMS, source), ...flags], {
        stdio: 'inherit',
        cwd: directory,
      })
      return path(output)
    },
    path,
    source: name => join(PROGRAMS, name),
    close: () => rmSync(directory, { recursive: true, force: true }),
  }
}

export interface Sampled {
  pid: number
  stacks: SampledStack[]
  counters: SamplerCounters
}

/** Samples the node while a program runs, and keeps the stacks of that program and its children by name. */
export async function sample(
  command: readonly string[],
  options: Partial<SamplerOptions> & {
    burst?: { target?: BurstTarget; hz: number }
    env?: Record<string, string>
  } = {},
): Promise<Sampled> {
  const { burst, env, ...samplerOptions } = options
  let pid = 0
  const sampled = await sampleWhile(samplerOptions, async sampler => {
    const program = start(command, env)
    pid = program.pid
    if (burst) startBurst(sampler, { hz: burst.hz, target: burst.target ?? { pid } })
    await program.ended
    return burst ? ['', 'b'] : ['']
  })
  return { pid, ...sampled }
}

export interface Started {
  pid: number
  ended: Promise<unknown>
  kill(): void
}

export function start(command: readonly string[], env: Record<string, string> = {}): Started {
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...env } })
  const ended = new Promise((resolve, reject) => child.on('exit', resolve).on('error', reject))
  return { pid: child.pid ?? 0, ended, kill: () => child.kill('SIGKILL') }
}

/** Starts the burst 'b', which must not be refused. */
export function startBurst(sampler: Sampler, options: Partial<BurstOptions> & Pick<BurstOptions, 'target'>): Burst {
  const started = sampler.startBurst?.({ burst: 'b', hz: 499, durationMs: 60_000, ...options })
  if (!started || 'absent' in started) throw new Error(started?.absent ?? 'no bursts')
  return started
}

/** Samples the node while `act` runs, which returns the profiles that it wants to the end: '' and ids of bursts. */
export async function sampleWhile(
  options: Partial<SamplerOptions>,
  act: (sampler: Sampler) => Promise<string[]>,
): Promise<Omit<Sampled, 'pid'>> {
  const sampler = await startNative({ ...OPTIONS, ...options })
  if ('absent' in sampler) throw new Error(sampler.absent)
  try {
    const bursts = await act(sampler)
    const windows = await drainUntil(sampler, Date.now(), bursts)
    return { stacks: windows.flatMap(stacksOf), counters: sumOf(windows) }
  } finally {
    await sampler.stop()
  }
}

/** Until of each profile a window has come that ends after `timeMs`; names come later than samples on a busy machine. */
export async function drainUntil(sampler: Sampler, timeMs: number, bursts: string[]): Promise<StackWindow[]> {
  const windows: StackWindow[] = []
  const missing = () => bursts.some(burst => !windows.some(window => window.burst === burst && window.endMs >= timeMs))
  while (missing() && Date.now() < timeMs + 45_000) {
    await new Promise(resolve => setTimeout(resolve, 100))
    windows.push(...(await sampler.drain()))
  }
  return windows
}

function sumOf(windows: readonly StackWindow[]): SamplerCounters {
  const total = { lost: 0, throttled: 0, samples: 0, extended: 0 }
  for (const { counters } of windows) {
    total.lost += counters.lost
    total.throttled += counters.throttled
    total.samples += counters.samples ?? 0
    total.extended += counters.extended ?? 0
  }
  return total
}

export function stacksOf(window: StackWindow): SampledStack[] {
  const { strings, frames, stacks, samples } = window
  const text = (index: number | undefined) => strings[index ?? 0] ?? ''
  const frame = (at: number): Frame => ({
    function: text(frames.function[at]),
    module: text(frames.module[at]),
    file: text(frames.file[at]),
    line: frames.line[at] ?? 0,
    kind: FRAME_KINDS[frames.kind[at] ?? 0] ?? 'other',
  })
  return Array.from(samples.count, (count, i) => {
    const process = window.processes[samples.process[i] ?? 0]
    const stack = samples.stack[i] ?? 0
    const [from, to] = [stacks.offsets[stack] ?? 0, stacks.offsets[stack + 1] ?? 0]
    return {
      pid: process?.pid ?? 0,
      startMs: process?.startMs ?? 0,
      process: process?.name ?? '',
      cgroup: process?.cgroup ?? '',
      thread: text(samples.thread[i]),
      burst: window.burst,
      frames: Array.from(stacks.frames.subarray(from, to), frame).reverse(),
      count,
      periodNs: samples.periodNs[i] ?? 0,
    }
  })
}
