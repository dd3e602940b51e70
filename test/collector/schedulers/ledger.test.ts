import { describe, expect, it } from 'vitest'
import type { PolledJob } from '../../../collector/schedulers/contract.ts'
import { Ledger } from '../../../collector/schedulers/ledger.ts'
import type { Job } from '../../../ingest/records.ts'

const T0 = 1_800_000_000_000
const at = (poll: number) => T0 + poll * 15_000
const open = () => new Ledger({ cluster: 'lab', resendEveryMs: 600_000, graceMs: 120_000 })

const STATES = { q: 'queued', r: 'running', c: 'completed', f: 'failed' } as const
type Letter = keyof typeof STATES

function job(id: string, letter: Letter, more: Partial<PolledJob> = {}): PolledJob {
  const started = letter === 'q' ? {} : { startMs: T0 - 500 }
  const ended = letter === 'c' || letter === 'f' ? { endMs: T0 + 1 } : {}
  return {
    id,
    scheduler: 'slurm',
    rawId: id,
    state: STATES[letter],
    submitMs: T0 - 1000,
    ...started,
    ...ended,
    ...more,
  }
}

/** One row a job, one letter a poll; '-' is not in the queue. Returns what is sent after each poll: `id:state`. */
function play(
  ledger: Ledger,
  rows: Record<string, string>,
  accounted: Record<number, PolledJob[]> | null = null,
): string[] {
  const polls = Math.max(...Object.values(rows).map(row => row.length))
  return Array.from({ length: polls }, (_, poll) => {
    const jobs = Object.entries(rows).flatMap(([id, row]) => {
      const letter = row[poll]
      return letter === undefined || letter === '-' ? [] : [job(id, letter as Letter)]
    })
    ledger.seen({ jobs, nodes: [] }, at(poll))
    ledger.accounted(accounted?.[poll] ?? [], at(poll))
    ledger.close(at(poll), accounted !== null)
    const due = ledger.due(at(poll))
    ledger.sent(due, at(poll))
    ledger.forget(T0 - 10_000)
    return due.jobs.map(({ record }) => `${(record as Job).id}:${(record as Job).state}`).join(' ')
  })
}

describe('what is sent', () => {
  it('is what changed', () => {
    expect(play(open(), { A: 'qqrrcc', B: 'rrrrrr' })).toEqual([
      'A:queued B:running',
      '',
      'A:running',
      '',
      'A:completed',
      '',
    ])
  })

  it('again after a while, as long as the job lives', () => {
    const sent = play(open(), { A: 'r'.repeat(42), B: 'c'.repeat(42) })
    expect(sent.filter(line => line !== '')).toEqual(['A:running B:completed', 'A:running'])
    expect(sent[40]).toBe('A:running')
  })

  it('again where it did not arrive', () => {
    const ledger = open()
    ledger.seen({ jobs: [job('A', 'r')], nodes: [{ node: 'n1', schedulerState: 'idle' }] }, at(0))
    expect(ledger.due(at(0))).toEqual(ledger.due(at(0)))
    ledger.sent(ledger.due(at(0)), at(0))
    expect(ledger.due(at(1))).toEqual({ jobs: [], nodes: [] })
  })

  it('carries cluster and the time of the poll', () => {
    const ledger = open()
    ledger.seen({ jobs: [job('A', 'r')], nodes: [{ node: 'n1' }] }, at(3))
    const { jobs, nodes } = ledger.due(at(3))
    expect([...jobs, ...nodes].map(({ record }) => [record.cluster, record.updatedMs])).toEqual([
      ['lab', at(3)],
      ['lab', at(3)],
    ])
  })
})

describe('a job that left the queue', () => {
  it('without accounting ends as unknown, when last seen', () => {
    const ledger = open()
    play(ledger, { A: 'rr', B: 'rr' })
    ledger.seen({ jobs: [job('B', 'r')], nodes: [] }, at(2))
    ledger.close(at(2), false)
    const reason = expect.stringMatching(/^left the queue between 2027-.* and 2027-/)
    expect(ledger.due(at(2)).jobs[0]?.record).toMatchObject({ id: 'A', state: 'unknown', endMs: at(1), reason })
    expect(ledger.unknown).toBe(1)
  })

  it('is asked of accounting first, from when it was last seen', () => {
    const ledger = open()
    play(ledger, { A: 'rr', B: 'rrr' }, {})
    expect(ledger.missing()).toMatchObject({ jobs: [{ id: 'A' }], sinceMs: at(1) })
    const exit = { ...job('A', 'f'), name: 'n?me', exitCode: 3, endMs: at(1) + 5 }
    ledger.accounted([exit], at(3))
    expect(ledger.missing().jobs).toEqual([])
    expect(ledger.due(at(3)).jobs.map(d => d.record)).toMatchObject([{ id: 'A', state: 'failed', exitCode: 3 }])
    expect(ledger.unknown).toBe(0)
  })

  it('waits for accounting, but not for ever', () => {
    const sent = play(open(), { A: 'r', B: 'r'.repeat(12) }, {})
    expect(sent.slice(1, 9).join('')).toBe('')
    expect(sent[9]).toBe('A:unknown')
  })

  it('before it started, and accounting does not know it, was cancelled', () => {
    expect(play(open(), { A: 'q', B: 'r'.repeat(12) }, {})[9]).toBe('A:cancelled')
    expect(play(open(), { A: 'q', B: 'rr' })[1]).toBe('A:unknown')
  })

  it('and comes back, goes on', () => {
    expect(play(open(), { A: 'r-r', B: 'rrr' }, {})).toEqual(['A:running B:running', '', ''])
  })

  it('of an array whose last task has started, has not ended', () => {
    const ledger = open()
    const rest = job('4', 'q', { arrayId: '4', arrayTask: '2-3' })
    ledger.seen({ jobs: [rest], nodes: [] }, at(0))
    ledger.seen({ jobs: [job('4_2', 'r', { rawId: '7' }), job('4_3', 'r', { rawId: '4' })], nodes: [] }, at(1))
    ledger.close(at(1), false)
    const records = ledger.due(at(1)).jobs.map(d => d.record as Job)
    expect(records.find(r => r.id === '4')).toMatchObject({ state: 'completed', schedulerState: 'EXPANDED' })
    expect(ledger.unknown).toBe(0)
    expect(ledger.hint('4')).toEqual({ id: '4_3', startMs: T0 - 500, live: true })
  })

  it('to be queued again, ends that run and begins another', () => {
    const ledger = open()
    ledger.seen({ jobs: [job('A', 'r')], nodes: [] }, at(0))
    ledger.seen({ jobs: [job('A', 'q', { submitMs: at(1), restarts: 1 })], nodes: [] }, at(1))
    ledger.close(at(1), false)
    expect(ledger.due(at(1)).jobs.map(d => d.record)).toMatchObject([
      { state: 'requeued', submitMs: T0 - 1000 },
      { state: 'queued', submitMs: at(1), restarts: 1 },
    ])
    expect(ledger.unknown).toBe(0)
  })
})

describe('accounting', () => {
  it('adds jobs that no poll saw, and keeps what only the queue knew', () => {
    const ledger = open()
    const full = job('A', 'r', { name: 'a "b"', allocations: [{ node: 'n1', cores: 2 }] })
    ledger.seen({ jobs: [full], nodes: [] }, at(0))
    const accounted = { ...job('A', 'c'), name: 'a `b`', allocations: [{ node: 'n1' }] }
    ledger.accounted([accounted, job('quick', 'c')], at(1))
    const records = ledger.due(at(1)).jobs.map(d => d.record)
    expect(records).toMatchObject([
      { id: 'A', state: 'completed', name: 'a "b"', allocations: [{ cores: 2 }] },
      { id: 'quick' },
    ])
  })

  it('wins over the queue, which lists ended jobs for a while', () => {
    const ledger = open()
    ledger.accounted([{ ...job('A', 'f'), exitCode: 3 }], at(0))
    ledger.seen({ jobs: [job('A', 'c')], nodes: [] }, at(1))
    expect(ledger.due(at(1)).jobs.map(d => d.record)).toMatchObject([{ state: 'failed', exitCode: 3 }])
  })

  it('that tells the same again sends nothing, and what is past is forgotten', () => {
    const ledger = open()
    for (const poll of [0, 1]) {
      ledger.seen({ jobs: [], nodes: [] }, at(poll))
      ledger.accounted([job('A', 'c')], at(poll))
      const due = ledger.due(at(poll))
      expect(due.jobs).toHaveLength(poll === 0 ? 1 : 0)
      ledger.sent(due, at(poll))
      ledger.forget(T0 - 10_000)
    }
    expect(ledger.hint('A')).toEqual({ id: 'A', startMs: T0 - 500, live: false })
    ledger.seen({ jobs: [], nodes: [] }, at(2))
    ledger.forget(at(2))
    expect(ledger.hint('A')).toBeUndefined()
  })
})

it('knows a job by each name that the kernel may have for it', () => {
  const ledger = open()
  ledger.seen({ jobs: [job('4_1', 'r', { rawId: '14', sluid: 'sEKNKTV3WPV500' })], nodes: [] }, at(0))
  expect(['14', 'sEKNKTV3WPV500', '4_1'].map(name => ledger.hint(name)?.id)).toEqual(['4_1', '4_1', undefined])
})

it('remembers live jobs over a restart', () => {
  const before = open()
  play(before, { A: 'rr', B: 'rc', C: 'qq' })
  const after = open()
  after.restore(before.live())
  expect(after.live().map(({ job }) => job.id)).toEqual(['A', 'C'])
  after.seen({ jobs: [job('C', 'q')], nodes: [] }, at(99))
  after.close(at(99), false)
  expect(after.due(at(1)).jobs.map(d => d.record)).toMatchObject([{ id: 'A', state: 'unknown', endMs: at(1) }])
})
