/**
 * A rule over the past: the same evaluate() over the same figures, step by step. Would it have fired, when, for whom?
 *
 * A metric is read in one go as minutes (five of them, or more, for long spans of many nodes): a window's mean is the mean of
 * its minutes, its highest value the highest of theirs. What jobs, processes and functions did over hours, or on many nodes, is read
 * in one go too (cells.ts). Everything else is read as it would have been then, at most MAX_LOOKS times.
 */
import type { Metric } from '../../ingest/metrics.ts'
import type { Desk } from '../desk.ts'
import { badRequest } from '../errors.ts'
import { type Row, readRows } from '../heatmap.ts'
import { usualInstances } from '../points.ts'
import { resolveScope } from '../scope.ts'
import type { Grid } from '../window.ts'
import { cellOf, cellsIn, type PastReading } from './cells.ts'
import { evaluate, type Measured, NEVER, type RuleState, type Series, type Transition } from './evaluate.ts'
import { metricOf } from './figures.ts'
import { measuresOf } from './measure.ts'
import { looksAlone, type Noted, notedBy } from './noted.ts'
import { readPastFunctions } from './pastfunctions.ts'
import { readPastProcesses } from './pastprocesses.ts'
import { readPastWaits } from './pastwaits.ts'
import { type PastLook, readPastWork } from './pastwork.ts'
import type { Raw } from './points.ts'
import { kindOf, type Memory, readOn } from './reader.ts'
import { Recent } from './recent.ts'
import { gapOf } from './round.ts'
import type { ReadyRule } from './rule.ts'
import { layoutScene, readScene, type Scene } from './scene.ts'

export interface Span {
  from: number
  to: number
}

/** One alert that would have fired. */
export interface Episode {
  key: string
  series: Series
  firedMs: number
  /** undefined: it would fire still. */
  resolvedMs: number | undefined
}

export interface Backtest {
  stepMs: number
  steps: number
  episodes: Episode[]
}

const MINUTE = 60_000
const MAX_STEPS = 3000
const MAX_LOOKS = 240
/** So much is looked at process by process, where the ticks of all nodes are not too many. */
const LOOKED_AT = 7_200_000
const MAX_TICKS = 300_000
const MAX_SPAN = 32 * 86_400_000
const MAX_EPISODES = 10_000

export async function backtest(desk: Desk, cluster: string, rule: ReadyRule, span: Span): Promise<Backtest> {
  if (span.to <= span.from) throw badRequest('to must be later than from')
  if (span.to - span.from > MAX_SPAN) throw badRequest('at most 32 days can be looked at: choose a shorter span')
  const now = new Set([
    'silent_seconds',
    'scheduler_down',
    'scheduler_silent_seconds',
    'nodes_silent',
    'jobs_queued',
    'jobs_running',
  ])
  if (rule.figure !== undefined && now.has(rule.figure))
    throw badRequest(`the past of ${rule.figure} is not kept: this rule can only be watched live`)
  if (rule.test === 'absent')
    throw badRequest('the past of an absence cannot be replayed: this rule can only be watched live')
  const scene = await readScene(desk, cluster, { atMs: span.to, sinceMs: span.from })
  const metric = metricOf(rule.metric ?? '')
  if (metric) return overMetric(desk, scene, rule, metric, span)
  return isManyTicks(rule, span, scene.heard.size)
    ? overCells(desk, scene, rule, span)
    : overLooks(desk, scene, rule, span)
}

/** More than is looked at tick by tick. */
function isManyTicks(rule: ReadyRule, { from, to }: Span, nodes: number): boolean {
  const kind = kindOf(rule)
  if (kind === 'scene') return false
  // What jobs did is read once, all else at every look.
  const readMs = kind === 'work' ? to - from : MAX_LOOKS * rule.windowMs
  return to - from > LOOKED_AT || (readMs / TICK) * nodes > MAX_TICKS
}

/** Jobs as they were at moments of the span, asked for in order: between two moments at which none began or ended, the same. */
function scenesOf(scene: Scene): (atMs: number) => Scene {
  const changes = scene.jobs.flatMap(job => [job.startMs, job.endMs ?? Number.POSITIVE_INFINITY]).sort((a, b) => a - b)
  let next = 0
  let last: Scene | undefined
  return atMs => {
    const passed = next
    while ((changes[next] ?? Number.POSITIVE_INFINITY) <= atMs) next++
    last =
      last && passed === next
        ? { ...last, atMs }
        : layoutScene({ ...scene, atMs, jobs: scene.jobs.filter(job => job.startMs <= atMs) })
    return last
  }
}

class Replay {
  readonly #rule: ReadyRule
  readonly #stepMs: number
  readonly #open = new Map<string, Episode>()
  readonly episodes: Episode[] = []
  state: RuleState = NEVER

  constructor(rule: ReadyRule, stepMs: number) {
    this.#rule = rule
    this.#stepMs = stepMs
  }

  step(measured: Measured, atMs: number): void {
    const options = {
      gapMs: gapOf(this.#stepMs),
      staleMs: Math.max(300_000, 2 * this.#rule.windowMs, 2 * this.#stepMs),
    }
    const done = evaluate(this.#rule, measured, this.state, atMs, options)
    this.state = done.state
    for (const transition of done.transitions) this.#note(transition)
  }

  #note({ key, to, atMs, series }: Transition): void {
    if (to === 'firing' && this.episodes.length < MAX_EPISODES) {
      const episode: Episode = { key, series, firedMs: atMs, resolvedMs: undefined }
      this.#open.set(key, episode)
      this.episodes.push(episode)
    }
    const open = this.#open.get(key)
    if (to !== 'resolved' || !open) return
    open.resolvedMs = atMs
    open.series = series
    this.#open.delete(key)
  }
}

/** Values of all places and steps together. */
const MAX_VALUES = 1_000_000
/** Rows of ticks that are read for one metric; what is longer is read from the rollup of five minutes. */
const MAX_ROWS = 10_000_000
const TICK = 10_000

/** A step is a whole number of minutes that fits the span into MAX_STEPS: of ticks where they are few, else of the rollup. */
function stepOf({ from, to }: Span, metric: Metric, nodes: number): Pick<Grid, 'bucketMs' | 'rollup'> {
  const places = nodes * usualInstances(metric.entity)
  const isMany = ((to - from) / TICK) * places > MAX_ROWS
  const least = isMany ? 5 * MINUTE : MINUTE
  const steps = Math.min(MAX_STEPS, MAX_VALUES / Math.max(1, places))
  const bucketMs = Math.max(1, Math.ceil((to - from) / steps / least)) * least
  return { bucketMs, rollup: isMany ? '5m' : '' }
}

async function overMetric(desk: Desk, scene: Scene, rule: ReadyRule, metric: Metric, span: Span): Promise<Backtest> {
  const { bucketMs: stepMs, rollup } = stepOf(span, metric, scene.heard.size)
  const back = Math.max(1, Math.round(rule.windowMs / stepMs))
  const from = Math.floor((span.from - back * stepMs) / stepMs) * stepMs
  const count = Math.floor((span.to - from) / stepMs)
  const grid: Grid = { from, to: from + count * stepMs, bucketMs: stepMs, count, rollup }
  const target = await resolveScope(desk.asker, desk.known, { cluster: scene.cluster, from: grid.from, to: grid.to })
  const overTime = rule.aggregate === 'min' ? 'avg' : rule.aggregate
  const rows = await readRows(desk, target, { ...metric, overTime }, grid)
  const windows = rows.map(row => windowsOf(rule, row, back, stepMs))
  const replay = new Replay(rule, stepMs)
  const sceneAt = scenesOf(scene)
  for (let i = back - 1; i < count; i++) {
    const atMs = from + (i + 1) * stepMs
    const noted = notedBy(rule, replay.state)
    const raws = rawsAt(rows, windows, i, looksAlone(rule) ? noted : undefined)
    replay.step(measuresOf(rule, raws, sceneAt(atMs), noted), atMs)
  }
  return { stepMs, steps: Math.max(0, count - back + 1), episodes: replay.episodes }
}

/** Values at a step: those that are noted, or all. */
function rawsAt(rows: readonly Row[], windows: readonly Float64Array[], i: number, noted: Noted | undefined): Raw[] {
  const raws: Raw[] = []
  for (let r = 0; r < rows.length; r++) {
    const row = rows[r]
    const value = windows[r]?.[i] ?? Number.NaN
    if (!row || Number.isNaN(value) || noted?.(value, row.node) === false) continue
    raws.push({ node: row.node, instance: row.instance, value })
  }
  return raws
}

/** Each step's window as one value, NaN where it is empty: sums, or the edges, of the cells that it covers. */
function windowsOf(rule: ReadyRule, row: Row, back: number, stepMs: number): Float64Array {
  const cells = row.values
  const scale = rule.share && row.full ? 1 / row.full : 1
  const out = new Float64Array(cells.length).fill(Number.NaN)
  let [sum, known] = [0, 0]
  for (let i = 0; i < cells.length; i++) {
    const [enters, leaves] = [cells[i] ?? null, i >= back ? (cells[i - back] ?? null) : null]
    if (enters !== null) [sum, known] = [sum + enters, known + 1]
    if (leaves !== null) [sum, known] = [sum - leaves, known - 1]
    if (known > 0) out[i] = scale * oneOf(rule, cells, Math.max(0, i - back + 1), i, sum / known, stepMs)
  }
  return out
}

function oneOf(
  rule: ReadyRule,
  cells: Row['values'],
  first: number,
  last: number,
  mean: number,
  stepMs: number,
): number {
  if (rule.test === 'change') return slope(cells, first, last, stepMs)
  if (rule.aggregate === 'avg') return mean
  const there: number[] = []
  for (let i = first; i <= last; i++) {
    const value = cells[i]
    if (value !== null && value !== undefined) there.push(value)
  }
  if (rule.aggregate === 'last') return there.at(-1) ?? Number.NaN
  return rule.aggregate === 'max' ? Math.max(...there) : Math.min(...there)
}

function slope(cells: Row['values'], first: number, last: number, stepMs: number): number {
  let [a, b] = [first, last]
  while (a < last && (cells[a] ?? null) === null) a++
  while (b > first && (cells[b] ?? null) === null) b--
  return a < b ? ((cells[b] ?? 0) - (cells[a] ?? 0)) / (((b - a) * stepMs) / 1000) : Number.NaN
}

/** What nothing is kept of but in cells, or what were too much to look at tick by tick. */
async function overCells(desk: Desk, scene: Scene, rule: ReadyRule, span: Span): Promise<Backtest> {
  const cellMs = cellOf(span, scene.heard.size)
  const first = Math.ceil(span.from / cellMs) * cellMs
  const to = Math.floor(span.to / cellMs) * cellMs
  const from = first - cellsIn(rule.windowMs, cellMs) * cellMs
  const look = await readPast(desk, { asker: desk.asker, cluster: scene.cluster, span: { from, to }, cellMs }, rule)
  const replay = new Replay(rule, cellMs)
  const sceneAt = scenesOf(scene)
  let steps = 0
  for (let atMs = first; atMs <= to; atMs += cellMs) {
    replay.step(look(sceneAt(atMs), notedBy(rule, replay.state)), atMs)
    steps++
  }
  return { stepMs: cellMs, steps, episodes: replay.episodes }
}

function readPast(desk: Desk, reading: PastReading, rule: ReadyRule): Promise<PastLook> {
  const kind = kindOf(rule)
  if (kind === 'function') return readPastFunctions(desk, reading, rule)
  if (kind === 'process') return readPastProcesses(reading, rule)
  return kind === 'wait' ? readPastWaits(reading, rule) : readPastWork(reading, rule)
}

async function overLooks(desk: Desk, scene: Scene, rule: ReadyRule, span: Span): Promise<Backtest> {
  const stepMs = Math.max(15_000, Math.ceil((span.to - span.from) / MAX_LOOKS / 15_000) * 15_000)
  const replay = new Replay(rule, stepMs)
  const sceneAt = scenesOf(scene)
  const memory: Memory = { recent: new Recent({ past: true }), stateOf: () => replay.state }
  let steps = 0
  for (let atMs = Math.ceil(span.from / stepMs) * stepMs; atMs <= span.to; atMs += stepMs) {
    const measured = (await readOn(desk, sceneAt(atMs), [rule], memory)).get(rule)
    if (measured instanceof Error) throw measured
    if (measured) replay.step(measured, atMs)
    steps++
  }
  return { stepMs, steps, episodes: replay.episodes }
}
