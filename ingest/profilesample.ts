/** What one sample of a profile says: whose it is, and what it weighs. */
import type { Attributes } from './match.ts'
import { cut } from './origin.ts'
import type { Dictionary } from './otlp/dictionary.ts'
import type { StackSample } from './records.ts'

/** What a profile says of all its samples. */
export interface ProfileHead {
  type: string
  unit: string
  periodType: string
  periodUnit: string
  period: number
  timeMs: number
  durationMs: number
}

export interface SampleIn {
  stack: number
  attributes: readonly number[]
  values: readonly number[]
  /** Nanoseconds. */
  timestamps: readonly number[]
}

/** What the attributes of a sample say. */
export interface Told {
  thread: string
  burst: string
  category: string
  /** Samples behind the value; 0 where it is not told. */
  count: number
  /** They say which process, too. */
  pid: boolean
}

export function tell(sample: SampleIn, { attributes }: Dictionary): Told {
  const told = { thread: '', burst: '', category: '', count: 0, pid: false }
  for (const index of sample.attributes) {
    const attribute = attributes[index]
    if (attribute === undefined) continue
    const { key, value } = attribute
    if (key === 'thread.name') told.thread = value
    else if (key === 'jobsight.category') told.category = value
    else if (key === 'jobsight.sample.count') told.count = Number(value)
    else if (key === 'jobsight.burst') told.burst = value
    else if (key === 'process.pid') told.pid = true
  }
  return told
}

export const allAttributes = (sample: SampleIn, { attributes }: Dictionary): Attributes =>
  new Map(
    sample.attributes.flatMap(i => (attributes[i] === undefined ? [] : [[attributes[i].key, attributes[i].value]])),
  )

/** A profiler that sends environment variables (the OpenTelemetry one with -env-vars) tells the job that way. */
export function claimOf(attributes: Attributes): Pick<StackSample, 'job' | 'step' | 'rank' | 'evidence'> {
  const told = attributes.get('jobsight.job.id') ?? ''
  if (told !== '') return { job: cut(told, 255), step: '', rank: undefined, evidence: 'sender' }
  const job =
    attributes.get('process.environment_variable.SLURM_JOB_ID') ??
    attributes.get('process.environment_variable.PBS_JOBID')
  const unplaced = { step: '', rank: undefined }
  return job === undefined || job === ''
    ? { job: '', ...unplaced, evidence: 'none' }
    : { job: cut(job, 255), ...unplaced, evidence: 'environment' }
}

export interface Weight {
  event: string
  value: number
  count: number
}

const NANOSECONDS: Readonly<Record<string, number>> = {
  nanoseconds: 1,
  ns: 1,
  microseconds: 1e3,
  us: 1e3,
  milliseconds: 1e6,
  ms: 1e6,
  seconds: 1e9,
  s: 1e9,
}

/**
 * What a sample weighs. Three shapes: timestamps alone (each is one hit), one value, or a value a timestamp.
 *
 *   sample_type         period_type, period     values   timestamps   event   value
 *   cpu/nanoseconds     -                       [60e6]   -            cpu     60e6
 *   samples/count       cpu/nanoseconds, 50e6   -        [t, t, t]    cpu     150e6
 *   off_cpu/nanoseconds -                       [7e6]    [t]          off_cpu 7e6
 */
export function weigh(head: ProfileHead, sample: SampleIn, told: number): Weight | undefined {
  const { values, timestamps } = sample
  if (values.length === 0 && timestamps.length === 0) return undefined
  const sum = values.length === 0 ? timestamps.length : values.reduce((a, b) => a + b, 0)
  if (!(sum >= 0) || sum > Number.MAX_SAFE_INTEGER) return undefined
  const hits = told > 0 && Number.isSafeInteger(told) ? told : undefined
  const scale = NANOSECONDS[head.unit]
  if (scale !== undefined && values.length > 0) {
    const periods = head.period > 0 ? Math.max(1, Math.round(sum / head.period)) : 1
    const value = Math.round(sum * scale)
    return { event: eventOf(head.type), value, count: count32(hits ?? (timestamps.length || periods)) }
  }
  const periodScale = NANOSECONDS[head.periodUnit]
  const counts = scale === undefined && (head.unit === 'count' || head.unit === '')
  if (periodScale !== undefined && head.period > 0 && (counts || values.length === 0)) {
    const value = Math.round(sum * head.period * periodScale)
    return { event: eventOf(head.periodType), value, count: count32(hits ?? sum) }
  }
  return { event: eventOf(head.type), value: Math.round(sum), count: count32(hits ?? (timestamps.length || sum)) }
}

/** Largest period that is kept, ns: its column has 32 bits. */
const LONGEST_PERIOD = 0xffff_ffff

/** What one sample of a clock weighs, ns; 0 where the profile tells no such period. */
export function periodOf({ period, periodUnit }: ProfileHead): number {
  const ns = period * (NANOSECONDS[periodUnit] ?? 0)
  return Number.isInteger(ns) && ns > 0 && ns <= LONGEST_PERIOD ? ns : 0
}

const eventOf = (type: string): string => cut(type === '' ? 'samples' : type, 64)
const count32 = (count: number): number => Math.min(0xffff_ffff, Math.max(1, Math.round(count)))
