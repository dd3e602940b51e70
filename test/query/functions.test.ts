/** The function table of a long window: minutes at its edges, hours between, and the same sums whichever it is read from. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Functions } from '../../query/api.ts'
import { openAsker } from '../../query/asker.ts'
import { cutWindow } from '../../query/functionsums.ts'
import { readFivesSince } from '../../query/measured.ts'
import { HOUR, MINUTE, openPlace, type Place, T0 } from './place.ts'

let place: Place

const START = T0 - 8 * HOUR - 25 * MINUTE
const END = T0 + 10 * MINUTE
const FUNCTIONS = ['sweep', 'exchange', 'reduce']

/** Two nodes, three functions, a row every seven minutes: no hour holds as much as another. */
function minutesOf(job: string, from: number, to: number) {
  const rows = []
  for (let ms = Math.ceil(from / MINUTE) * MINUTE + MINUTE, i = 0; ms <= to; ms += 7 * MINUTE, i++) {
    for (const node of ['n1', 'n2']) {
      const f = i % FUNCTIONS.length
      const self = (1 + (i % 5)) * 1e9
      rows.push({
        cluster: 'alpha',
        job,
        event: 'cpu',
        node,
        pid: 7,
        start_ms: 1,
        minute: ms / 1000,
        function_id: 101 + f,
        self,
        total: self + 2e9,
        self_count: 19,
      })
    }
  }
  return rows
}

const job = (id: string, startMs: number, endMs: number) => ({
  cluster: 'alpha',
  id,
  user: 'ann',
  state: 'completed',
  submit_ms: startMs,
  start_ms: startMs,
  end_ms: endMs,
  nodes: ['n1', 'n2'],
  record: JSON.stringify({
    cluster: 'alpha',
    id,
    scheduler: 'slurm',
    state: 'completed',
    startMs,
    endMs,
    updatedMs: endMs,
  }),
  updated_ms: endMs,
})

const own = minutesOf('7', START, END)
/** An earlier job that had the same id, before the one that is asked for and in an hour of it. */
const earlier = minutesOf('7', START - 20 * MINUTE, START - MINUTE)

const odd = minutesOf('8', START, END)

beforeAll(async () => {
  place = await openPlace()
  await place.write('jobs', [job('7', START, END), job('8', START + 3 * MINUTE, END - MINUTE)])
  await place.write(
    'nodes',
    ['n1', 'n2'].map(node => ({ cluster: 'alpha', node, sender: 'collector', record: '{}', updated_ms: T0 })),
  )
  await place.write(
    'frames',
    FUNCTIONS.map((name, i) => ({
      frame_id: 1 + i,
      function_id: 101 + i,
      function: name,
      module: 'app',
      kind: 'native',
      seen: '2026-01-05',
    })),
  )
  await place.write('function_minutes', [...own, ...odd, ...earlier, ...minutesOf('', START, END)])
  // An event that is not time on a CPU is no part of the table.
  await place.write(
    'function_minutes',
    own.map(row => ({ ...row, event: 'off_cpu' })),
  )
})

const sumsOf = (rows: ReturnType<typeof minutesOf>, from: number, to: number) => {
  const sums = new Map<string, [number, number, number]>()
  for (const row of rows) {
    if (row.minute * 1000 <= from || row.minute * 1000 > to) continue
    const name = FUNCTIONS[row.function_id - 101] ?? ''
    const [self, total, samples] = sums.get(name) ?? [0, 0, 0]
    sums.set(name, [self + row.self / 1e9, total + row.total / 1e9, samples + row.self_count])
  }
  return Object.fromEntries(sums)
}

const ask = async (params: Record<string, string | number>) => {
  const { functions } = await place.ask<Functions>('/functions', params)
  return Object.fromEntries(functions.map(f => [f.function, [f.self, f.total, f.samples]]))
}

describe('the function table of a long window', () => {
  it('of a job, of a cluster and of a node is the sum of its minutes', async () => {
    expect(await ask({ job: '7' })).toEqual(sumsOf(own, START, END))
    const [from, to] = [START + 100 * MINUTE, T0 - 35 * MINUTE]
    expect(await ask({ job: '7', from, to })).toEqual(sumsOf(own, from, to))
    const all = [...own, ...odd, ...earlier, ...minutesOf('', START, END)]
    expect(await ask({ from: START - HOUR, to: END })).toEqual(sumsOf(all, START - HOUR, END))
    const ofNode = all.filter(row => row.node === 'n2')
    expect(await ask({ node: 'n2', from, to })).toEqual(sumsOf(ofNode, from, to))
    expect(await ask({ node: 'n2', pid: 7, job: '7', from, to })).toEqual(
      sumsOf(
        own.filter(row => row.node === 'n2'),
        from,
        to,
      ),
    )
  })

  it('of a job on odd minutes is its own minutes, and beyond them five minutes wider at most', async () => {
    // From 2 minutes after a bucket to 1 minute before one.
    const [from, to] = [START + 102 * MINUTE, T0 - 36 * MINUTE]
    const wide = sumsOf(own, from - 2 * MINUTE, to + MINUTE)
    expect(await ask({ job: '7', from, to })).toEqual(wide)
    const { coverage } = await place.ask<Functions>('/functions', { job: '7', from, to })
    expect([coverage.from, coverage.to]).toEqual([from - 2 * MINUTE, to + MINUTE])
    // Its first bucket of five minutes has what the id was before.
    expect(await ask({ job: '8' })).toEqual(sumsOf(odd, START + 3 * MINUTE, END - MINUTE))
  })

  it('of a job is read from its hours and five minutes, and of its minutes none between', async () => {
    const [from, to] = [START + 10 * MINUTE, T0 - 35 * MINUTE]
    const before = await ask({ job: '7', from, to })
    await place.store.command(
      `DELETE FROM function_minutes WHERE job = '7' AND minute > toDateTime(${from / 1000}, 'UTC') AND minute <= toDateTime(${to / 1000}, 'UTC')`,
    )
    expect(await ask({ job: '7', from: from + MINUTE, to: to + MINUTE, node: 'n1' })).not.toEqual(before)
    expect(await ask({ job: '7', from, to })).toEqual(before)
  })
})

describe('what is read of a window', () => {
  const at = (text: string) => Date.parse(`2026-01-05T${text}:00Z`)
  const window = (from: string, to: string) => ({ from: at(from), to: at(to) })
  const cut = (from: string, to: string, own: [string, string] | undefined, since = 0) =>
    cutWindow({ from: at(from), rowsTo: at(to) }, own && window(...own), since)

  it('is hours, five minutes around them, and minutes where neither fits', () => {
    expect(cut('09:22', '14:13', ['09:22', '15:00'])).toEqual({
      minutes: [window('09:22', '09:25'), window('14:10', '14:13')],
      fives: [window('09:25', '10:00'), window('14:00', '14:10')],
      hours: [window('10:00', '14:00')],
    })
    expect(cut('09:20', '09:55', ['09:20', '15:00'])).toEqual({
      minutes: [],
      fives: [window('09:20', '09:55')],
      hours: [],
    })
  })

  it('is minutes before the store had five minutes, and of parts of a job', () => {
    expect(cut('09:20', '14:10', ['09:00', '15:00'], at('12:01'))).toEqual({
      minutes: [window('09:20', '10:00')],
      fives: [window('14:00', '14:10')],
      hours: [window('10:00', '14:00')],
    })
    expect(cut('09:20', '14:10', undefined)).toEqual({ minutes: [window('09:20', '14:10')], fives: [], hours: [] })
  })

  it('a store that is new has five minutes of all; one that was brought to them later has them of a day', async () => {
    const asker = openAsker(place.store, T0, undefined)
    expect((await readFivesSince(asker)).functions).toBe(0)
    await place.store.command(
      "INSERT INTO schema_version (version, name, applied) SELECT 60, 'later', max(applied) + 86400 FROM schema_version",
    )
    const [row] = await place.store.query<{ ms: number }>(
      { query: 'SELECT toUnixTimestamp(max(applied)) * 1000. AS ms FROM schema_version', query_params: {} },
      { name: 'test' },
    )
    expect((await readFivesSince(asker)).functions).toBe((row?.ms ?? 0) - 24 * HOUR)
  })
})
