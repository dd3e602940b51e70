/** All rules of a cluster at one moment: what they watch, with as few questions to the store as there are kinds of it. */
import type { Desk } from '../desk.ts'
import type { Measured } from './evaluate.ts'
import { groupBy } from './groups.ts'
import { jobMeasures, needsWork, worksOnNodes } from './jobfigures.ts'
import { clusterMeasures, functionMeasures, processMeasures, readStacks, sceneRaws, waitRaws } from './looks.ts'
import { measuresOf } from './measure.ts'
import { type Raw, readKnown, readPoints } from './points.ts'
import type { ReadyRule } from './rule.ts'
import { readScene, type Scene, silentMs } from './scene.ts'
import { readWork, type WorkOf } from './work.ts'

/** What could not be read is an error of its rules alone; the others are evaluated. */
export type Readings = Map<ReadyRule, Measured | Error>

export async function readRules(
  desk: Desk,
  cluster: string,
  rules: readonly ReadyRule[],
  { atMs, listeningMs }: { atMs: number; listeningMs: number },
): Promise<Readings> {
  const longest = Math.max(0, ...rules.map(rule => rule.windowMs))
  const scene = await readScene(desk, cluster, { atMs, sinceMs: atMs - longest, listeningMs })
  if (silentMs(scene) < DEAF_MS) return readOn(desk, scene, rules)
  // A simulation that ended, or fills its past, is nobody's concern.
  if ([...scene.records.values()].some(record => record.simulated)) return new Map()
  return readOn(
    desk,
    scene,
    rules.filter(rule => rule.scope === 'cluster'),
  )
}

/** Of a cluster that says nothing for so long only that can be said; nothing of its nodes and jobs. */
const DEAF_MS = 300_000

export async function readOn(desk: Desk, scene: Scene, rules: readonly ReadyRule[]): Promise<Readings> {
  const readings: Readings = new Map()
  const into = async (some: readonly ReadyRule[], read: () => Promise<Iterable<[ReadyRule, Measured]>>) => {
    if (some.length === 0) return
    try {
      for (const [rule, measured] of await read()) readings.set(rule, measured)
    } catch (error) {
      for (const rule of some) readings.set(rule, error instanceof Error ? error : new Error(String(error)))
    }
  }
  const kinds = groupBy(rules, kindOf)
  const of = (kind: Kind): ReadyRule[] => kinds.get(kind) ?? []
  const windows = (kind: Kind): [number, ReadyRule[]][] => [...groupBy(of(kind), rule => rule.windowMs)]
  await Promise.all([
    into(of('metric'), () => ofMetrics(desk, scene, of('metric'))),
    into(of('absent'), () => ofAbsence(desk, scene, of('absent'))),
    into(of('scene'), async () => of('scene').map(rule => [rule, ofScene(rule, scene)])),
    ...windows('work').map(([ms, some]) =>
      into(some, async () => ofWork(some, scene, await readWork(desk.asker, scene.cluster, ms, scene.atMs))),
    ),
    ...windows('wait').map(([ms, some]) =>
      into(some, async () => {
        const raws = await waitRaws(desk.asker, scene, ms)
        return some.map(rule => [rule, measuresOf(rule, raws, scene)])
      }),
    ),
    ...windows('function').map(([ms, some]) =>
      into(some, async () => {
        const stacks = await readStacks(desk, scene, ms)
        return some.map(rule => [rule, functionMeasures(desk, rule, scene, stacks)])
      }),
    ),
    ...of('process').map(rule => into([rule], async () => [[rule, await processMeasures(desk.asker, rule, scene)]])),
  ])
  return readings
}

type Kind = 'metric' | 'absent' | 'scene' | 'work' | 'wait' | 'function' | 'process'

function kindOf(rule: ReadyRule): Kind {
  if (rule.function !== undefined) return 'function'
  if (rule.metric !== undefined) return rule.test === 'absent' ? 'absent' : 'metric'
  if (rule.scope === 'process') return 'process'
  if (rule.figure === 'wait_share') return 'wait'
  return needsWork(rule) ? 'work' : 'scene'
}

/** Dear to read and slow to move: stacks. Looked at once a minute. */
export const isSlow = (rule: ReadyRule): boolean => ['wait', 'function'].includes(kindOf(rule))

async function ofMetrics(desk: Desk, scene: Scene, rules: readonly ReadyRule[]): Promise<[ReadyRule, Measured][]> {
  const found = await readPoints(desk.asker, scene.cluster, rules, scene.atMs)
  return [...found].map(([rule, raws]) => [rule, measuresOf(rule, raws, scene)])
}

/** 1 where a metric that was told within a day is not told in the window, 0 where it is. */
async function ofAbsence(desk: Desk, scene: Scene, rules: readonly ReadyRule[]): Promise<[ReadyRule, Measured][]> {
  const there = await readPoints(desk.asker, scene.cluster, rules, scene.atMs)
  return Promise.all(
    rules.map(async rule => {
      const known = await readKnown(desk.asker, scene.cluster, rule, scene.atMs)
      const told = new Set((there.get(rule) ?? []).flatMap(raw => ((raw.value ?? 0) > 0 ? [placeOf(raw)] : [])))
      const raws = known.map(raw => ({ ...raw, value: told.has(placeOf(raw)) ? 0 : 1 }))
      return [rule, measuresOf(rule, raws, scene)] as [ReadyRule, Measured]
    }),
  )
}

const placeOf = (raw: Raw): string => `${raw.node}\0${raw.instance}`

function ofScene(rule: ReadyRule, scene: Scene): Measured {
  if (rule.scope === 'cluster') return clusterMeasures(rule, scene)
  if (rule.scope === 'job') return jobMeasures(rule, scene, undefined)
  return measuresOf(rule, sceneRaws(rule, scene), scene)
}

const ofWork = (rules: readonly ReadyRule[], scene: Scene, work: WorkOf): [ReadyRule, Measured][] =>
  rules.map(rule =>
    rule.scope === 'job'
      ? [rule, jobMeasures(rule, scene, work)]
      : [rule, measuresOf(rule, worksOnNodes(rule, scene, work), scene)],
  )
