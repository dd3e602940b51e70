/** All rules of a cluster at one moment: what they watch, with as few questions to the store as there are kinds of it. */
import type { Desk } from '../desk.ts'
import type { Measured, RuleState } from './evaluate.ts'
import { functionMeasures, readStacks } from './functions.ts'
import { groupBy } from './groups.ts'
import { jobMeasures, needsWork, worksOnNodes } from './jobfigures.ts'
import { isLong } from './longwindows.ts'
import { clusterMeasures, sceneRaws, waitRaws } from './looks.ts'
import { measuresOf } from './measure.ts'
import { type Noted, notedBy } from './noted.ts'
import { type Raw, type Reading, readKnown, readPoints } from './points.ts'
import { processMeasures } from './processes.ts'
import type { Recent } from './recent.ts'
import type { ReadyRule } from './rule.ts'
import { readScene, type Scene, silentMs } from './scene.ts'
import { readWitnesses, type WorkOf, workOf } from './work.ts'

/** What could not be read is an error of its rules alone; the others are evaluated. */
export type Readings = Map<ReadyRule, Measured | Error>

/** What readers of the same rules share from one moment to the next. */
export interface Memory {
  recent: Recent
  /** What each rule knows: of what is neither true nor known to it nothing need be said. */
  stateOf: (rule: ReadyRule) => RuleState
}

export interface RoundAt {
  atMs: number
  listeningMs: number
}

export async function readRules(
  desk: Desk,
  cluster: string,
  rules: readonly ReadyRule[],
  { atMs, listeningMs }: RoundAt,
  memory: Memory,
): Promise<Readings> {
  const longest = Math.max(0, ...rules.map(rule => rule.windowMs))
  const scene = await readScene(desk, cluster, { atMs, sinceMs: atMs - longest, listeningMs })
  if (silentMs(scene) < DEAF_MS) return readOn(desk, scene, rules, memory)
  // A simulation that ended, or fills its past, is nobody's concern.
  if ([...scene.records.values()].some(record => record.simulated)) return new Map()
  return readOn(
    desk,
    scene,
    rules.filter(rule => rule.scope === 'cluster'),
    memory,
  )
}

/** Of a cluster that says nothing for so long only that can be said; nothing of its nodes and jobs. */
const DEAF_MS = 300_000

export async function readOn(
  desk: Desk,
  scene: Scene,
  rules: readonly ReadyRule[],
  { recent, stateOf }: Memory,
): Promise<Readings> {
  const readings: Readings = new Map()
  const reading: Reading = { asker: desk.asker, recent, cluster: scene.cluster, atMs: scene.atMs }
  const looks = looksOf(desk, scene, reading, groupBy(rules, kindOf), rule => notedBy(rule, stateOf(rule)))
  await Promise.all(
    looks
      .filter(([some]) => some.length > 0)
      .map(async ([some, read]) => {
        try {
          for (const [rule, measured] of await read(some)) readings.set(rule, measured)
        } catch (error) {
          for (const rule of some) readings.set(rule, error instanceof Error ? error : new Error(String(error)))
        }
      }),
  )
  return readings
}

/** Rules that are read together, and how. */
type Look = [readonly ReadyRule[], (some: readonly ReadyRule[]) => Promise<Iterable<[ReadyRule, Measured]>>]

function looksOf(
  desk: Desk,
  scene: Scene,
  reading: Reading,
  kinds: ReadonlyMap<Kind, readonly ReadyRule[]>,
  noted: (rule: ReadyRule) => Noted,
): Look[] {
  const of = (kind: Kind): readonly ReadyRule[] => kinds.get(kind) ?? []
  const measured = (rule: ReadyRule, raws: readonly Raw[]) => measuresOf(rule, raws, scene, noted(rule))
  const each = (found: Iterable<[ReadyRule, Raw[]]>): [ReadyRule, Measured][] =>
    [...found].map(([rule, raws]) => [rule, measured(rule, raws)])
  const byWindow = (kind: Kind, read: (some: readonly ReadyRule[], windowMs: number) => ReturnType<Look[1]>): Look[] =>
    [...groupBy(of(kind), rule => rule.windowMs)].map(([windowMs, some]) => [some, () => read(some, windowMs)])
  return [
    [of('metric'), async some => each(await readPoints(reading, some, noted))],
    [of('absent'), async some => each(await readAbsences(reading, some, noted))],
    [of('scene'), async some => some.map(rule => [rule, ofScene(rule, scene, measured)])],
    [
      of('work'),
      async some => {
        const witnesses = await readWitnesses(reading, Math.max(...some.map(rule => rule.windowMs)))
        const windows = groupBy(some, rule => rule.windowMs)
        return [...windows].flatMap(([ms, same]) => ofWork(same, scene, workOf(witnesses, ms), measured))
      },
    ],
    ...byWindow('wait', async (some, ms) => {
      const raws = await waitRaws(desk.asker, scene, ms)
      return each(some.map(rule => [rule, raws]))
    }),
    ...byWindow('function', async (some, ms) => {
      const stacks = await readStacks(desk, scene, ms)
      return some.map(rule => [rule, functionMeasures(desk, rule, scene, stacks)])
    }),
    ...of('process').map(
      (rule): Look => [[rule], async () => [[rule, await processMeasures(desk.asker, rule, scene, noted(rule))]]],
    ),
  ]
}

export type Kind = 'metric' | 'absent' | 'scene' | 'work' | 'wait' | 'function' | 'process'

export function kindOf(rule: ReadyRule): Kind {
  if (rule.function !== undefined) return 'function'
  if (rule.metric !== undefined) return rule.test === 'absent' ? 'absent' : 'metric'
  if (rule.scope === 'process') return 'process'
  if (rule.figure === 'wait_share') return 'wait'
  return needsWork(rule) ? 'work' : 'scene'
}

/** Dear to read and slow to move: stacks, long windows, processes over minutes against each other. Looked at once a minute. */
export function isSlow(rule: ReadyRule): boolean {
  const kind = kindOf(rule)
  if (kind === 'wait' || kind === 'function' || isLong(rule)) return true
  return kind === 'process' && rule.test === 'peers' && rule.windowMs >= MINUTES_MS
}
const MINUTES_MS = 300_000

/** 1 where a metric that was told within a day is not told in the window, 0 where it is. */
async function readAbsences(
  reading: Reading,
  rules: readonly ReadyRule[],
  noted: (rule: ReadyRule) => Noted,
): Promise<[ReadyRule, Raw[]][]> {
  const there = await readPoints(reading, rules, noted)
  return Promise.all(
    rules.map(async rule => {
      const known = await readKnown(reading, rule)
      const told = new Set((there.get(rule) ?? []).flatMap(raw => ((raw.value ?? 0) > 0 ? [placeOf(raw)] : [])))
      return [rule, known.map(raw => ({ ...raw, value: told.has(placeOf(raw)) ? 0 : 1 }))] as [ReadyRule, Raw[]]
    }),
  )
}

const placeOf = (raw: Raw): string => `${raw.node}\0${raw.instance}`

type OfRaws = (rule: ReadyRule, raws: readonly Raw[]) => Measured

function ofScene(rule: ReadyRule, scene: Scene, measured: OfRaws): Measured {
  if (rule.scope === 'cluster') return clusterMeasures(rule, scene)
  if (rule.scope === 'job') return jobMeasures(rule, scene, undefined)
  return measured(rule, sceneRaws(rule, scene))
}

export const ofWork = (
  rules: readonly ReadyRule[],
  scene: Scene,
  work: WorkOf,
  measured: OfRaws,
): [ReadyRule, Measured][] =>
  rules.map(rule => [
    rule,
    rule.scope === 'job' ? jobMeasures(rule, scene, work) : measured(rule, worksOnNodes(rule, scene, work)),
  ])
