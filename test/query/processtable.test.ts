import { beforeAll, describe, expect, it } from 'vitest'
import type { ProcessDetail, Processes } from '../../query/api.ts'
import { HOUR, MINUTE, openPlace, type Place, SECOND, T0 } from './place.ts'

let place: Place

const START = T0 - 10 * HOUR
/** A job's own time has odd edges. */
const BEGIN = START + 2 * HOUR + 7 * MINUTE + 13 * SECOND
const END = T0 - HOUR - 3 * MINUTE - 11 * SECOND

interface Life {
  node: string
  pid: number
  name: string
  from: number
  to: number
  start_ms?: number
  job?: string
  user?: string
  /** From when on a job was found. */
  foundAt?: number
}

/** A tick every 40 s, so that some lie on the edges of five minutes and others do not; what is told changes from tick to tick. */
function ticksOf({ foundAt, from, to, job = '', ...life }: Life): object[] {
  const rows: object[] = []
  for (let at = Math.ceil(from / 40_000) * 40; at <= to / 1000; at += 40) {
    const seen = (at / 40 + life.pid) % 7
    const found = at * 1000 >= (foundAt ?? 0)
    rows.push({
      ...{ cluster: 'alpha', start_ms: life.pid, user: 'ann', command: `${life.name} ${at}`, state: 'R', ...life },
      ...{ time: at, interval_ms: 40_000, job: found ? job : '', evidence: found && job !== '' ? 'cgroup' : 'none' },
      ...{
        rank: found && job !== '' ? life.pid : null,
        executable: seen === 3 ? `/bin/${life.name}` : '',
        container: '',
      },
      cpu_user: seen === 1 ? null : seen / 4,
      cpu_system: life.pid === 5 ? null : seen / 16,
      memory_bytes: life.pid === 4 ? null : 4096 * (1 + seen),
      read_bytes: seen > 3 ? 100 * seen : null,
      write_bytes: life.pid % 2 === 0 ? 0 : null,
      threads: life.pid === 3 ? null : 1 + seen,
      cpu_delay: seen === 2 ? 0.25 : null,
      disk_delay: life.pid === 1 ? seen / 100 : null,
      numa_node: life.pid === 2 ? seen % 2 : null,
      gpu_utilization: life.pid === 1 && seen > 4 ? 0.5 : null,
      gpu_memory_bytes: life.pid === 1 && seen === 6 ? 2 ** 33 : null,
      ended: life.pid === 6 ? seen / 40 : null,
    })
  }
  return rows
}

const LIVES: Life[] = [
  { node: 'n1', pid: 1, name: 'solve', job: '7', from: BEGIN, to: END },
  // Its job was found later.
  { node: 'n1', pid: 2, name: 'late', job: '7', from: BEGIN, to: END, foundAt: BEGIN + 3 * HOUR },
  { node: 'n2', pid: 1, name: 'solve', job: '7', from: BEGIN + 10 * MINUTE, to: END - 2 * HOUR },
  // What the job's id was until a minute before, within the same five minutes.
  { node: 'n1', pid: 9, name: 'before', job: '7', from: BEGIN - 2 * HOUR, to: BEGIN - MINUTE },
  { node: 'n1', pid: 3, name: 'daemon', user: 'root', from: START, to: T0 },
  { node: 'n1', pid: 4, name: 'brief', user: 'bob', from: START + 5 * HOUR, to: START + 5 * HOUR + 3 * MINUTE },
  // The pid again.
  { node: 'n1', pid: 4, start_ms: 77, name: 'again', user: 'bob', from: START + 6 * HOUR, to: T0 },
  { node: 'n2', pid: 5, name: 'quiet', from: START, to: T0 - 3 * HOUR },
  { node: 'n2', pid: 6, name: '(ended)', user: '', from: START, to: T0 },
]

beforeAll(async () => {
  place = await openPlace()
  place.clock.now = T0
  const node = (name: string) => ({ cluster: 'alpha', node: name, sender: 'collector', record: '{}', updated_ms: T0 })
  await place.write('nodes', [node('n1'), node('n2')])
  // In two blocks, so that a row of five minutes is of two parts.
  const rows = LIVES.flatMap(ticksOf)
  for (const half of [0, 1])
    await place.write(
      'processes',
      rows.filter((_, i) => i % 2 === half),
    )
  const record = { cluster: 'alpha', id: '7', scheduler: 'slurm', state: 'completed', user: 'ann', updatedMs: END }
  const span = { startMs: BEGIN, endMs: END }
  await place.write('jobs', [
    {
      ...{ cluster: 'alpha', id: '7', state: 'completed', user: 'ann', nodes: ['n1', 'n2'], node_count: 2 },
      ...{ submit_ms: BEGIN, start_ms: BEGIN, end_ms: END, updated_ms: END },
      record: JSON.stringify({ ...record, ...span }),
    },
  ])
})

/** What is known of the store's versions is kept for so long. */
const later = () => {
  place.clock.now += 31 * SECOND
}

/** A store that was brought to this version so much later than it was made: its five minutes of before do not tell all. */
async function fromTicks<T>(ask: () => Promise<T>): Promise<T> {
  await place.store.command(
    "INSERT INTO schema_version (version, name, applied) SELECT 76, 'later', max(applied) + 86400 FROM schema_version",
  )
  later()
  const answer = await ask()
  await place.store.command("DELETE FROM schema_version WHERE name = 'later'")
  later()
  return answer
}

type Asked = Record<string, string | number>

const WINDOWS: Record<string, Asked> = {
  'of the cluster, on whole five minutes': { from: START + 65 * MINUTE, to: T0 - 20 * MINUTE },
  'of a node, by memory': { node: 'n1', from: START, to: T0 - HOUR, sort: 'memory' },
  'of a node, by what it reads': { node: 'n1', from: START, to: T0 - HOUR, sort: 'read' },
  'of a user': { user: 'bob', from: START, to: T0 },
  'of a job in its own time': { job: '7' },
  'of a job as its page asks': { job: '7', from: Math.floor(BEGIN / 1000) * 1000, to: Math.ceil(END / 1000) * 1000 },
  'of a part of a job': { job: '7', from: BEGIN, to: START + 9 * HOUR },
  'of half an hour': { node: 'n2', from: START + HOUR, to: START + 90 * MINUTE },
  'until now': { node: 'n1', from: START, to: T0 + 29 * SECOND },
}

describe('processes of hours, from five minutes', () => {
  it.each(Object.entries(WINDOWS))('%s are as their ticks tell them', async (_, asked) => {
    const ask = () => place.ask<Processes>('/processes', { limit: 50, ...asked })
    const [fives, ticks] = [await ask(), await fromTicks(ask)]
    expect(ticks.processes.length).toBeGreaterThan(0)
    const about = (rows: Processes['processes']) =>
      rows.map(row =>
        Object.fromEntries(
          Object.entries(row).map(([key, value]) => [
            key,
            typeof value === 'number' ? expect.closeTo(value, 6) : value,
          ]),
        ),
      )
    expect(fives).toEqual({
      ...ticks,
      processes: about(ticks.processes),
      other: { ...ticks.other, cpu: expect.closeTo(ticks.other.cpu, 6) },
    })
  })

  it('on odd edges are up to five minutes wider, which the answer says, but not beyond the job', async () => {
    const [from, to] = [START + HOUR + 2 * MINUTE, T0 - HOUR - MINUTE]
    const wide = { from: START + HOUR, to: T0 - HOUR }
    const asked = { node: 'n1', limit: 50 }
    expect(await place.ask('/processes', { ...asked, from, to })).toEqual(
      await place.ask('/processes', { ...asked, ...wide }),
    )
    const ofJob = await place.ask<Processes>('/processes', { job: '7', from: BEGIN + 2 * MINUTE, to })
    expect(ofJob).toMatchObject({ from: Math.floor(BEGIN / 1000) * 1000 })
    expect(ofJob.processes.map(p => p.name)).not.toContain('before')
    // An hour is as it was asked.
    const hour = { from: from + MINUTE, to: from + 61 * MINUTE }
    expect(await place.ask('/processes', { ...asked, ...hour })).toMatchObject(hour)
  })

  it('need no ticks but the last of each', async () => {
    const asked = { node: 'n1', from: START, to: T0, limit: 50 }
    const before = await place.ask<Processes>('/processes', asked)
    const keep = before.processes.map(p => p.last / 1000).join(', ')
    await place.store.command(`DELETE FROM processes WHERE toUnixTimestamp(time) NOT IN (${keep})`)
    const after = await place.ask<Processes>('/processes', asked)
    const figures = ({ processes }: Processes) =>
      processes.map(({ command: _c, job: _j, step: _s, evidence: _e, executable: _x, ...row }) => row)
    expect(figures(after)).toEqual(figures(before))
    expect(await fromTicks(() => place.ask<Processes>('/processes', asked))).not.toEqual(after)
    const one = await place.ask<ProcessDetail>('/process', { node: 'n1', pid: 3, from: START, to: T0 })
    expect(one.process).toMatchObject({ name: 'daemon', first: expect.any(Number) })
  })
})
