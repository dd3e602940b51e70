/**
 * How perf(1) is called. Choices, measured with test/bench/stacks:
 * - cpu-clock and no other event: its period is in ns on every machine, virtual or not.
 * - a copy of the user stack, unwound by perf script: frame pointers alone give right stacks for almost nothing.
 * - --no-inline: resolving inlined names starts addr2line for each module, minutes of CPU.
 */
import type { SamplerOptions } from './sampler.ts'

export interface PerfCommand {
  hz: number
  stackBytes: number
  /** Of a CPU, in KiB: a page may be 64 of them. Absent: perf's default, which a user without CAP_IPC_LOCK can have. */
  ringKib?: number
  /** --control: perf 5.10 and newer. */
  control: boolean
  includeIdle: boolean
}

/** perf script unwinds at 0.3-0.6 ms a sample, so a large node is sampled less often: at most this many a second. */
const SAMPLES_A_SECOND = 300
/** What a ring holds while perf script reads symbols: 2 MiB, which are that many at 19 Hz and 16 KiB a sample, or more … */
const RING_SECONDS = 7
const RING_KIB = 2048
/** … as far as the locked memory of all together allows. */
const ALL_KIB = 64 << 10
const LEAST_KIB = 256
/** More than perf_event_max_stack, since dwarf unwinding is not bound by it. */
const MAX_STACK = 1024
const FIELDS = 'comm,pid,tid,cpu,time,period,event,ip,sym,dso'

/** What is asked of perf on a machine of so many cores: less than the options say where that would be too much. */
export function commandFor(options: SamplerOptions, cores: number): PerfCommand {
  const hz = Math.max(1, Math.min(options.hz, Math.floor(SAMPLES_A_SECOND / cores)))
  const stackBytes = Math.max(512, Math.min(65_528, options.stackBytes & ~7))
  const wanted = 2 ** Math.round(Math.log2((RING_SECONDS * hz * stackBytes) / 1024))
  const most = 2 ** Math.floor(Math.log2(ALL_KIB / cores))
  return {
    hz,
    stackBytes,
    ringKib: Math.max(LEAST_KIB, Math.min(Math.max(RING_KIB, wanted), most)),
    control: true,
    includeIdle: options.includeIdle,
  }
}

/** What to leave out after perf refused; undefined where nothing helps. */
export function simplerCommand(command: PerfCommand, said: string): PerfCommand | undefined {
  if (command.control && /unknown option.*control|Failed to.*control/i.test(said)) return { ...command, control: false }
  if (command.ringKib !== undefined && /mlock|mmap|Permission error mapping|Cannot allocate memory/i.test(said)) {
    const { ringKib: _, ...rest } = command
    return rest
  }
  return undefined
}

export function recordArguments(command: PerfCommand): string[] {
  return [
    ...['record', '-a', '-N', '-e', command.includeIdle ? 'cpu-clock' : 'cpu-clock:I', '-F', String(command.hz)],
    ...['--call-graph', `dwarf,${command.stackBytes}`, '-k', 'CLOCK_MONOTONIC', '-o', '-'],
    ...(command.ringKib === undefined ? [] : ['-m', `${command.ringKib}K`]),
    ...(command.control ? ['--control', 'fd:3,4'] : ['--no-buffering']),
  ]
}

export function scriptArguments(): string[] {
  return [
    'script',
    '-i',
    '-',
    '--no-inline',
    '--show-lost-events',
    '--ns',
    '--max-stack',
    String(MAX_STACK),
    '-F',
    FIELDS,
  ]
}
