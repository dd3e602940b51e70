import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { PolledJob } from '../../../collector/schedulers/contract.ts'
import { parseSacct } from '../../../collector/schedulers/slurm/accounting.ts'
import { jobState, parseGres, parseMemory, parseTres } from '../../../collector/schedulers/slurm/job.ts'
import { parseAnswer, parseJobs } from '../../../collector/schedulers/slurm/json.ts'
import { nodesOf, parseNodes, splitStates } from '../../../collector/schedulers/slurm/nodes.ts'
import { newMark, parseLimit, parseSinfo, parseSqueue, squeueArgs } from '../../../collector/schedulers/slurm/text.ts'
import { as2108, as2302, as2311, as2405, asNewNode } from './slurm-shapes.ts'

const MARK = '\x1fMARK\x1f'
const MIB = 2 ** 20
const capture = (file: string) => readFileSync(new URL(`../../fixtures/slurm/22.05/${file}`, import.meta.url))
const jobsOf = (bytes: Buffer) => parseJobs(parseAnswer(bytes, 'squeue --json'))
const byId = (jobs: readonly PolledJob[]) => new Map(jobs.map(job => [job.id, job]))
const fromJson = byId(jobsOf(capture('squeue.json')))
const fromText = byId(parseSqueue(capture('squeue.marked'), MARK))

describe('squeue --json of 22.05', () => {
  it('lists every job under the id that users type', () => {
    expect([...fromJson.keys()].sort()).toEqual(
      ['1', '10', '11', '12', '2', '3', '4', '4_0', '4_1', '5', '6', '7', '8+0', '8+1'].sort(),
    )
  })

  it('keeps names as they are, invalid UTF-8 marked', () => {
    expect(fromJson.get('1')?.name).toBe('new\nline=x | "quo\'te" JobState=FAKE\ttab\\back')
    expect(fromJson.get('2')?.name).toBe('bad\ufffdutf8 日本 ünï')
  })

  it('tells what a job holds on each node', () => {
    const { submitMs, startMs, ...job } = fromJson.get('3') ?? {}
    expect(startMs).toBeGreaterThanOrEqual(submitMs ?? Number.NaN)
    expect(job).toEqual({
      id: '3',
      rawId: '3',
      scheduler: 'slurm',
      state: 'running',
      schedulerState: 'RUNNING',
      name: 'parallel',
      user: 'labuser1',
      uid: 1001,
      account: 'acct_labuser1',
      queue: 'main',
      timeLimitSeconds: 5400,
      nodeCount: 2,
      cores: 3,
      memoryBytes: 300 * MIB,
      restarts: 0,
      workDir: '/tmp/sched/bed/out',
      allocations: [
        { node: 'lab1', cores: 2, memoryBytes: 200 * MIB },
        { node: 'lab2', cores: 1, memoryBytes: 100 * MIB },
      ],
    })
  })

  it('tells tasks of an array from what has not started of it', () => {
    expect(fromJson.get('4')).toMatchObject({ state: 'queued', arrayId: '4', arrayTask: '2-5%2', rawId: '4' })
    expect(fromJson.get('4_1')).toMatchObject({ state: 'running', arrayId: '4', arrayTask: '1', rawId: '14' })
    expect(fromJson.get('4')).not.toHaveProperty('startMs')
  })

  it('tells exit codes, signals, components, holds and runs', () => {
    expect(fromJson.get('5')).toMatchObject({ state: 'failed', exitCode: 3 })
    expect(fromJson.get('6')).toMatchObject({ state: 'failed', signal: 11 })
    expect(fromJson.get('6')).not.toHaveProperty('exitCode')
    expect(fromJson.get('7')).toMatchObject({ state: 'cancelled', signal: 15 })
    expect(fromJson.get('8+1')).toMatchObject({ state: 'running', rawId: '9' })
    expect(fromJson.get('10')).toMatchObject({ state: 'held', reason: 'JobHeldUser' })
    expect(fromJson.get('12')).toMatchObject({ state: 'queued', restarts: 1 })
  })

  it('has neither start nor end before they are facts', () => {
    for (const job of fromJson.values()) {
      if (job.state === 'queued' || job.state === 'held') expect(job).not.toHaveProperty('startMs')
      if (job.state === 'running') expect(job).not.toHaveProperty('endMs')
    }
  })
})

describe('squeue -O, for releases without JSON', () => {
  it('says the same of every job, but for the share of each node', () => {
    expect([...fromText.keys()].sort()).toEqual([...fromJson.keys()].sort())
    for (const [id, job] of fromText) {
      const { allocations, ...rest } = job
      const { allocations: perNode, ...json } = fromJson.get(id) ?? ({} as PolledJob)
      expect(rest).toEqual(json)
      expect(allocations?.map(a => a.node)).toEqual(perNode?.map(a => a.node))
    }
    expect(fromText.get('3')?.allocations).toEqual([{ node: 'lab1' }, { node: 'lab2' }])
    expect(fromText.get('1')?.allocations).toEqual(fromJson.get('1')?.allocations)
  })

  it('draws another mark for each poll and refuses what does not fit', () => {
    const [one, two] = [newMark(), newMark()]
    expect(one).not.toBe(two)
    expect(squeueArgs(one).at(-1)).toContain(`Name:${one}`)
    expect(() => parseSqueue(capture('squeue.marked').subarray(0, 500), MARK)).toThrow(/scheduler unreadable/)
    expect(parseSqueue(Buffer.from(''), MARK)).toEqual([])
  })

  it('reads time limits', () => {
    expect(['1:30:00', '30:00', '2-00:00:00', 'UNLIMITED', 'Partition_Limit', ''].map(parseLimit)).toEqual([
      90,
      30,
      2880,
      undefined,
      undefined,
      undefined,
    ])
  })
})

describe('JSON of other releases (synthesised after their schemas)', () => {
  const capture22 = JSON.parse(capture('squeue.json').toString('utf8')) as { jobs: Record<string, unknown>[] }
  it.each([
    ['21.08', as2108],
    ['23.02', as2302],
    ['23.11', as2311],
    ['24.05 on', as2405],
  ])('%s says the same', (_, shape) => {
    const jobs = jobsOf(Buffer.from(JSON.stringify({ ...capture22, jobs: capture22.jobs.map(shape) })))
    const told = jobs.map(({ sluid, ...job }) => job)
    expect(byId(told)).toEqual(fromJson)
  })

  it('26.05 tells what control groups are named by', () => {
    const [job] = jobsOf(Buffer.from(JSON.stringify({ jobs: capture22.jobs.slice(0, 1).map(as2405) })))
    expect(job?.sluid).toBe('sEKNKTV3WPV500')
  })

  it('reads GPUs of each node and state flags', () => {
    const [job] = capture22.jobs.filter(j => j.job_id === 3).map(as2405)
    const gpus = {
      tres_alloc_str: 'cpu=3,mem=300M,node=2,gres/gpu=3',
      gres_detail: ['gpu:a100:2(IDX:0-1)', 'gpu:a100:1(IDX:3)'],
    }
    const [record] = jobsOf(
      Buffer.from(JSON.stringify({ jobs: [{ ...job, ...gpus, job_state: ['RUNNING', 'COMPLETING'] }] })),
    )
    expect(record).toMatchObject({ state: 'completing', gpus: 3, schedulerState: 'RUNNING+COMPLETING' })
    expect(record?.allocations?.map(a => a.gpus)).toEqual([2, 1])
  })
})

describe('an outage is never an empty queue', () => {
  it.each([
    ['rc 0 and errors[], slurmctld down', capture('squeue-ctld-down.json')],
    ['no JSON', Buffer.from('slurm_load_jobs error: Unable to contact slurm controller')],
    ['cut off', capture('squeue.json').subarray(0, 9000)],
    ['another answer', Buffer.from('{"meta": {}, "errors": []}')],
    ['errors of another shape', Buffer.from('{"jobs": [], "errors": [{"error": "denied", "errno": 5}]}')],
  ])('%s', (_, bytes) => {
    expect(() => jobsOf(bytes)).toThrow(/^scheduler unreadable: /)
  })

  it('an empty queue is one', () => {
    expect(jobsOf(Buffer.from('{"meta": {}, "errors": [], "jobs": []}'))).toEqual([])
  })
})

describe('nodes', () => {
  const nodes = (bytes: Buffer) => parseNodes(parseAnswer(bytes, 'sinfo --json')) ?? []
  const states = (bytes: Buffer) =>
    nodesOf(nodes(bytes)).records.map(n => [n.node, n.schedulerState, n.schedulerReason])

  it('tells state, flags and reason', () => {
    expect(states(capture('sinfo.json'))).toEqual([
      ['lab1', 'mixed', undefined],
      ['lab2', 'draining', 'bad "disk" é'],
    ])
    expect(states(capture('node-down-sinfo.json'))).toEqual([
      ['node1', 'idle', undefined],
      ['node2', 'down+not_responding', 'Not responding'],
      ['node3', 'idle+completing', undefined],
    ])
  })

  it('says the same from text and from newer JSON', () => {
    const before = nodesOf(nodes(capture('sinfo.json'))).records
    expect(nodesOf(parseSinfo(capture('sinfo.marked'), MARK)).records).toEqual(before)
    const sinfo = JSON.parse(capture('sinfo.json').toString('utf8')) as { nodes: Record<string, unknown>[] }
    expect(nodesOf(nodes(Buffer.from(JSON.stringify({ nodes: sinfo.nodes.map(asNewNode) })))).records).toEqual(before)
    expect(parseNodes(parseAnswer(Buffer.from('{"sinfo": []}'), 'sinfo --json'))).toBeUndefined()
  })

  it('calls a machine what it calls itself, and several slurmds of one by their own names', () => {
    const node = (name: string, hostName: string, address = hostName) => ({
      ...{ name, hostName, address },
      ...{ states: ['IDLE'], reason: undefined, cpus: 4, queues: [] },
    })
    const { records, nameOf } = nodesOf([
      node('n1', 'cn001.hpc.example'),
      node('a', 'vm'),
      node('b', 'vm'),
      node('c', 'c', '10.0.0.7'),
      node('d', 'd', '127.0.0.1'),
    ])
    expect(records.map(n => [n.node, n.aliases])).toEqual([
      ['cn001', ['n1', 'cn001.hpc.example']],
      ['a', ['vm']],
      ['b', ['vm']],
      ['c', ['10.0.0.7']],
      ['d', undefined],
    ])
    expect(nameOf.get('n1')).toBe('cn001')
  })

  it('splits every way to write a state', () => {
    expect(splitStates('idle+drain')).toEqual(['IDLE', 'DRAIN'])
    expect(splitStates('down*')).toEqual(['DOWN', 'NOT_RESPONDING'])
    expect(splitStates('allocated+')).toEqual(['ALLOCATED'])
  })
})

describe('sacct', () => {
  const accounted = byId(parseSacct(capture('sacct.marked'), MARK))

  it('has every run that ended, names with newlines or not', () => {
    expect([...accounted.keys()]).toEqual([
      '1',
      '2',
      '3',
      '5',
      '6',
      '7',
      '8+0',
      '8+1',
      '12',
      '4_0',
      '4_1',
      '4_2',
      '4_3',
    ])
    expect(accounted.get('1')?.name).toBe("new\nline=x | `quo'te` JobState=FAKE\ttab\\back")
  })

  it('agrees with the queue on what ended before', () => {
    for (const id of ['5', '6']) {
      const { name, schedulerState, reason, command, restarts, allocations, ...queue } =
        fromJson.get(id) ?? ({} as PolledJob)
      expect(accounted.get(id)).toMatchObject(queue)
    }
    expect(accounted.get('7')).toMatchObject({ state: 'cancelled', user: 'root' })
  })

  it('ends the run that was given up, under its own submission', () => {
    expect(accounted.get('12')).toMatchObject({ state: 'requeued', schedulerState: 'REQUEUED' })
    expect(accounted.get('12')?.submitMs).toBeLessThan(fromJson.get('12')?.submitMs ?? 0)
  })

  it('knows a task that never started', () => {
    const row = [
      '4',
      '4_[2-5%2]',
      'CANCELLED by 0',
      '0:0',
      'root',
      '0',
      '',
      'main',
      '5',
      'Unknown',
      '9',
      '',
      'None assigned',
      '1',
      '0',
      '',
      '',
      'x',
      '',
    ]
    const [job] = parseSacct(Buffer.from(`${row.join(MARK)}${MARK}\n`), MARK)
    expect(job).toMatchObject({ id: '4', arrayTask: '2-5%2', state: 'cancelled', endMs: 9000 })
    expect(job).not.toHaveProperty('startMs')
    expect(job).not.toHaveProperty('exitCode')
  })
})

describe('words of Slurm', () => {
  it.each([
    ['PENDING', undefined, 'queued'],
    ['PENDING', 'JobHeldAdmin', 'held'],
    ['RUNNING CONFIGURING', undefined, 'starting'],
    ['CANCELLED COMPLETING', undefined, 'completing'],
    ['PENDING REQUEUE_HOLD', undefined, 'held'],
    ['RUNNING SIGNALING', undefined, 'running'],
    ['RESIZING', undefined, 'running'],
    ['OUT_OF_MEMORY', undefined, 'out_of_memory'],
    ['BOOT_FAIL', undefined, 'node_fail'],
    ['DEADLINE', undefined, 'timeout'],
    ['SOMETHING_NEW', undefined, 'unknown'],
  ])('%s %s is %s', (words, reason, state) => {
    expect(jobState(words.split(' '), reason)).toBe(state)
  })

  it('counts GPUs and memory', () => {
    expect(parseTres('cpu=64,mem=1.50T,node=2,gres/gpu:a100=4,gres/gpu=4')).toMatchObject({
      cpu: 64,
      gpus: 4,
      memoryBytes: 1.5 * 2 ** 40,
    })
    expect(parseTres('cpu=1,gres/gpu:a100=1,gres/gpu:h100=2').gpus).toBe(3)
    expect(parseTres('cpu=1').gpus).toBeUndefined()
    expect(parseGres('gpu:a100:2(IDX:0,3),gpu:h100:1(IDX:7),shard:4(IDX:0)')).toBe(3)
    expect(parseGres('gpu:2')).toBe(2)
    expect(parseGres('')).toBeUndefined()
    expect(['400M', '4G', '100', '2Gn', ''].map(parseMemory)).toEqual([
      400 * MIB,
      4096 * MIB,
      100 * MIB,
      2048 * MIB,
      undefined,
    ])
  })
})
