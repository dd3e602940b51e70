/** Ticks that are kept in memory say what the store would say, also of what came late. */
import { beforeAll, expect, it } from 'vitest'
import { findMetric } from '../../../ingest/metrics.ts'
import { readLong } from '../../../query/alerts/longwindows.ts'
import { type Raw, type Reading, readPoints } from '../../../query/alerts/points.ts'
import { Recent } from '../../../query/alerts/recent.ts'
import { type ReadyRule, type Rule, readyRule } from '../../../query/alerts/rule.ts'
import type { Asker } from '../../../query/asker.ts'
import { openAsker } from '../../../query/asker.ts'
import { MINUTE, openPlace, type Place, T0 } from '../place.ts'
import { nodePoints } from './rows.ts'

let place: Place
const questions: string[] = []

/** Remembers what was asked. */
function listening(): Asker {
  const asker = openAsker(place.store, T0, undefined)
  return {
    ...asker,
    columns: (name, question) => {
      questions.push(name)
      return asker.columns(name, question)
    },
  }
}

beforeAll(async () => {
  place = await openPlace()
  // n2 was cut off from minute 4 to 8: its ticks come later.
  await place.write('node_points', nodePoints('n1', 0, 20, wave(0)))
  await place.write('node_points', [...nodePoints('n2', 0, 4, wave(3)), ...nodePoints('n2', 8, 20, wave(3))])
}, 60_000)

const wave = (shift: number) => (minute: number) => ({
  cpu_busy: 0.1 + 0.04 * ((minute + shift) % 20),
  memory_used: 1e9 * (minute + 1),
  memory_total: 64e9,
})

const rule = (name: string, more: Partial<Rule>): ReadyRule =>
  readyRule({ name, scope: 'node', metric: 'cpu_busy', above: -1, ...more })
const RULES: readonly ReadyRule[] = [
  rule('avg', {}),
  rule('max', { aggregate: 'max', window: '10m' }),
  rule('min', { aggregate: 'min', window: '10m' }),
  rule('last', { aggregate: 'last', window: '1m' }),
  rule('share', { metric: 'memory_used', share: true, aggregate: 'max' }),
  rule('change', { metric: 'memory_used', test: 'change', window: '10m', above: -1e12 }),
  rule('absent', { test: 'absent' }),
  rule('odd', { window: '95s' }),
]

const told = (raws: readonly Raw[] | undefined) =>
  [...(raws ?? [])]
    .sort((a, b) => (a.node < b.node ? -1 : 1))
    .map(({ node, value }) => `${node} ${value?.toPrecision(6)}`)

async function compared(recent: Recent, minute: number) {
  const reading: Reading = { asker: listening(), recent, cluster: 'alpha', atMs: T0 + minute * MINUTE }
  const kept = await readPoints(reading, RULES, () => () => true)
  for (const one of RULES) {
    const metric = findMetric('node', one.metric ?? '')
    if (!metric) throw new Error(`${one.metric} is in no catalogue`)
    const [[, stored] = []] = await readLong({ ...reading, asker: openAsker(place.store, T0, undefined) }, [
      { rule: one, metric },
    ])
    expect(told(kept.get(one)), `${one.name} at ${minute}`).toEqual(told(stored))
  }
  return kept
}

it('windows in memory are those of the store, at a start, as time goes on, and when rows come late', async () => {
  const recent = new Recent()
  for (const minute of [9, 9.25, 9.5, 12]) await compared(recent, minute)
  const before = await compared(recent, 12.25)
  await place.write('node_points', nodePoints('n2', 4, 8, wave(3)))
  // A minute after all of the window was counted.
  const after = await compared(recent, 13)
  const absent = RULES.find(r => r.name === 'absent')
  if (!absent) throw new Error('no rule of that name')
  expect(told(before.get(absent))).toEqual(['n1 30.0000', 'n2 25.0000'])
  expect(told(after.get(absent))).toEqual(['n1 30.0000', 'n2 30.0000'])
})

it('what is known is not read again', async () => {
  const recent = new Recent()
  await compared(recent, 15)
  questions.length = 0
  await compared(recent, 15.25)
  expect(questions).toEqual(['alerts: ticks counted', 'alerts: ticks'])
  questions.length = 0
  await compared(recent, 15.25)
  expect(questions).toEqual([])
})

it('another rule that watches more brings its values', async () => {
  const recent = new Recent()
  const reading: Reading = { asker: listening(), recent, cluster: 'alpha', atMs: T0 + 15 * MINUTE }
  const [first, second] = [rule('a', { window: '1m' }), rule('b', { metric: 'memory_used', window: '10m' })]
  await readPoints(reading, [first], () => () => true)
  const both = await readPoints(reading, [first, second], () => () => true)
  expect(told(both.get(second))).toHaveLength(2)
  expect(told(both.get(first))).toHaveLength(2)
})
