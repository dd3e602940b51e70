/** Real jobs on a real Grid Engine: what the poller sends, against its own accounting, and whose each process is. */
import { readFileSync, writeFileSync } from 'node:fs'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Attribution, openAttribution, type Searched } from '../../collector/attribution.ts'
import { type Poller, startPoller } from '../../collector/schedulers/poller.ts'
import { openScheduler } from '../../collector/schedulers/scheduler.ts'
import { readBoot, startMsOf } from '../../collector/starttime.ts'
import type { Job, Node } from '../../ingest/records.ts'
import type { JobDetail, Nodes } from '../../query/api.ts'
import { processesOf, TREE } from '../testbeds/processes.ts'
import { type Testbed, upTestbed } from '../testbeds/testbed.ts'
import { expectCharged, functionOf, SCATTERED_SECONDS, startCounting, untilArrived, writeScatter } from './charged.ts'
import { ask, type Program, until } from './program.ts'

const log = pino({ level: 'silent' })
/** Roads run side by side: each knows its own processes. */
const road = (tag: string) => `${tag}-${process.pid}`
const boot = readBoot({ proc: '/proc' })

interface Bed {
  bed: Testbed
  poller: Poller
  attribution: Attribution
  jobs: Map<string, Job>
  nodes: Map<string, Node>
}

async function open(): Promise<Bed | string> {
  const bed = upTestbed('gridengine', [])
  if ('absent' in bed) return bed.absent
  const scripts = { 'tree.sh': TREE, 'fail.sh': '#!/bin/sh\nexit 3\n', 'segv.sh': '#!/bin/sh\nkill -SEGV $$\n' }
  for (const [name, text] of Object.entries(scripts))
    writeFileSync(`${bed.directory}/out/${name}`, text, { mode: 0o755 })
  const scheduler = await openScheduler({ kind: 'gridengine', log, env: bed.env, timeoutMs: 10_000 })
  if ('absent' in scheduler) throw new Error(scheduler.absent)
  const [jobs, nodes] = [new Map<string, Job>(), new Map<string, Node>()]
  const send = async (_: string, body: Uint8Array) => {
    const told = JSON.parse(Buffer.from(body).toString()) as { jobs: Job[]; nodes: Node[] }
    for (const job of told.jobs) jobs.set(job.id, job)
    for (const node of told.nodes) nodes.set(node.node, node)
    return { ok: true } as const
  }
  const poller = await startPoller(scheduler, { cluster: 'lab', pollEveryMs: 1000 }, { log, send })
  return { bed, poller, attribution: attributionOf(poller), jobs, nodes }
}

function attributionOf(poller: Poller, evidence?: Searched[]): Attribution {
  const hints = { schedulerHints: (rawId: string) => poller.hint(rawId) }
  return openAttribution({
    roots: { proc: '/proc' },
    log,
    boot,
    refreshMs: 500,
    ...hints,
    ...(evidence ? { evidence } : {}),
  })
}

describe('Grid Engine', () => {
  let opened: Bed | string = 'not opened'
  const ids: Record<string, string> = {}
  const submit = (bed: Testbed, args: string, user: string) =>
    bed.run(`qsub -terse -o /dev/null -j y ${args}`, user).then(id => id.split('.')[0] ?? '')

  beforeAll(async () => {
    opened = await open()
    if (typeof opened === 'string') return console.error(`skipped: ${opened}`)
    const { bed } = opened
    ids.fail = await submit(bed, '-N fail fail.sh', 'labuser1')
    ids.segv = await submit(bed, '-N segv segv.sh', 'labuser1')
    ids.odd = await submit(bed, `-N 'lt<gt>&"q' -b y sleep 20`, 'labuser1')
    ids.one = await submit(bed, `-N one -v ROAD=${road('one')} tree.sh`, 'labuser1')
    ids.two = await submit(bed, `-N two -pe smp 2 -l h_rt=3600 -v ROAD=${road('two')} tree.sh`, 'labuser2')
    ids.array = await submit(bed, `-N array -t 1-7:2 -tc 2 -v ROAD=${road('array')} tree.sh`, 'labuser2')
    ids.deleted = await submit(bed, '-N deleted -b y sleep 300', 'labuser1')
    ids.held = await submit(bed, '-N held -h -b y true', 'labuser1')
  }, 300_000)
  afterAll(async () => {
    if (typeof opened === 'string') return
    opened.attribution.close()
    await opened.poller.stop()
    opened.bed.down()
  }, 120_000)

  const use = (skip: (note: string) => never): Bed => (typeof opened === 'string' ? skip(opened) : opened)
  const settled = (bed: Bed, id: string | undefined, state: string) =>
    expect.poll(() => bed.jobs.get(id ?? '')?.state, { timeout: 45_000, interval: 250 }).toBe(state)

  it('tells each job as it is', async ({ skip }) => {
    const bed = use(skip)
    await settled(bed, ids.two, 'running')
    await settled(bed, `${ids.array}.3`, 'running')
    await settled(bed, ids.odd, 'running')
    await settled(bed, ids.held, 'held')
    await settled(bed, ids.fail, 'failed')
    await settled(bed, ids.segv, 'failed')
    expect(bed.jobs.get(ids.odd ?? '')?.name).toBe('lt<gt>&"q')
    expect(bed.jobs.get(ids.fail ?? '')).toMatchObject({
      exitCode: 3,
      user: 'labuser1',
      queue: 'all.q',
      cluster: 'lab',
    })
    expect(bed.jobs.get(ids.segv ?? '')).toMatchObject({ signal: 11 })
    expect(bed.jobs.get(ids.array ?? '')).toMatchObject({
      state: 'queued',
      arrayTask: expect.stringMatching(/^5(,7|-7:2)$/),
    })
    const [node] = [...bed.nodes.values()]
    expect(bed.jobs.get(ids.two ?? '')).toMatchObject({
      ...{ name: 'two', user: 'labuser2', cores: 2, timeLimitSeconds: 3600 },
      allocations: [{ node: node?.node, cores: 2 }],
    })
    expect(node).toMatchObject({ schedulerState: expect.stringMatching(/mixed|allocated/), schedulerQueues: ['all.q'] })
  })

  it('charges every process to its job by its group: children, other sessions, daemons', async ({ skip }) => {
    const { attribution } = use(skip)
    for (const [tag, atLeast] of [
      ['one', 7],
      ['two', 7],
      ['array', 14],
    ] as const)
      await expect.poll(() => processesOf(road(tag), boot).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(atLeast)
    for (const tag of ['one', 'two']) {
      const charges = processesOf(road(tag), boot).map(p => attribution.charge(p.pid, p.startMs))
      expect(new Set(charges.map(c => `${c.job} ${c.evidence}`))).toEqual(new Set([`${ids[tag]} gid`]))
    }
    const tasks = new Set(processesOf(road('array'), boot).map(p => attribution.charge(p.pid, p.startMs).job))
    expect(tasks).toEqual(new Set([`${ids.array}.1`, `${ids.array}.3`]))
    expect(attribution.charge(process.pid, startMsOf(boot, 0) + 1).job).toBe('')
  })

  it.for([
    ['environment', ['environment', 'parent']],
    ['parent', ['parent']],
  ] as const)('with what is better switched off, by %s', ([evidence, searched], { skip }) => {
    const { poller } = use(skip)
    const attribution = attributionOf(poller, [...searched])
    const charges = processesOf(road('two'), boot).map(p => attribution.charge(p.pid, p.startMs))
    attribution.close()
    const found = charges.filter(c => c.evidence === evidence)
    // The daemon's parent is init: only what it was started with still tells.
    expect(found.length).toBeGreaterThanOrEqual(evidence === 'environment' ? charges.length : 4)
    expect(new Set(found.map(c => c.job))).toEqual(new Set([ids.two]))
  })

  it('agrees with accounting', async ({ skip }) => {
    const bed = use(skip)
    await bed.bed.run(`qdel ${ids.deleted} ${ids.one} ${ids.two} ${ids.array} ${ids.held}`)
    for (const id of [ids.deleted, ids.one, ids.two, `${ids.array}.1`]) await settled(bed, id, 'cancelled')
    await settled(bed, ids.odd, 'completed')
    const lines = readFileSync(`${bed.bed.env.SGE_ROOT}/default/common/accounting`, 'latin1').split('\n')
    const rows = lines.filter(line => /^all\.q:/.test(line)).map(line => line.split(':'))
    expect(rows.length).toBeGreaterThanOrEqual(8)
    for (const row of rows) {
      const id = row[35] === '0' ? `${row[5]}` : `${row[5]}.${row[35]}`
      const [submit = 0, start = 0, end = 0] = row.slice(8, 11).map(seconds => Number(seconds) * 1000)
      expect(bed.jobs.get(id), id).toMatchObject({
        user: row[3],
        name: row[4],
        submitMs: submit,
        startMs: start,
        endMs: end,
        queue: row[0],
        account: row[6],
        cores: Number(row[34]),
        allocations: [expect.objectContaining({ node: row[1]?.split('.')[0] })],
      })
      const [, limit] = /h_rt=(\d+)/.exec(row[39] ?? '') ?? []
      expect(bed.jobs.get(id)?.timeLimitSeconds, id).toBe(limit === undefined ? undefined : Number(limit))
      expect(bed.jobs.get(id)?.arrayTask, id).toBe(row[35] === '0' ? undefined : row[35])
      const { exitCode = 0, signal } = bed.jobs.get(id) ?? {}
      expect(signal === undefined ? exitCode : 128 + signal, id).toBe(Number(row[12]))
    }
  })

  it('says that qmaster is down, and ends no job for it', async ({ skip }) => {
    const { bed, poller, jobs } = use(skip)
    await bed.run(`kill -KILL $(cat ${bed.directory}/spool/qmaster/qmaster.pid)`)
    await expect.poll(() => poller.status().unreadable, { timeout: 30_000 }).toMatch(/^scheduler unreadable: /)
    expect([...jobs.values()].filter(job => job.state === 'unknown')).toEqual([])
  })
})

describe('Grid Engine, CPU of two jobs on one node', () => {
  let bed: Testbed | { absent: string } = { absent: 'not opened' }
  let program: Program | undefined
  let ids: string[] = []

  beforeAll(async () => {
    bed = upTestbed('gridengine', [])
    if ('absent' in bed) return console.error(`skipped: ${bed.absent}`)
    for (const [name, value] of Object.entries(bed.env)) vi.stubEnv(name, value)
    writeScatter(`${bed.directory}/out`, 'scattered_gridengine')
    program = await startCounting('scheduler.kind=gridengine')
    for (const user of ['labuser1', 'labuser2']) {
      const tag = road(`scatter-${user}`)
      const told = await bed.run(`qsub -terse -o /dev/null -j y -cwd -v ROAD=${tag} scatter.sh`, user)
      ids = [...ids, told.split('.')[0] ?? '']
    }
  }, 300_000)
  afterAll(async () => {
    vi.unstubAllEnvs()
    await program?.stop()
    if ('down' in bed) bed.down()
  }, 120_000)

  /** On a CPU, of all that has the tag of the job in its environment. */
  const secondsOf = (user: string): number =>
    processesOf(road(`scatter-${user}`), boot).reduce(
      (sum, { pid }) => sum + Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9,
      0,
    )

  it('each is charged what its processes used, by processes and by samples', { timeout: 300_000 }, async ({ skip }) => {
    if ('absent' in bed) return skip(bed.absent)
    const url = program?.url ?? ''
    const count = async () => ['labuser1', 'labuser2'].map(secondsOf)
    const counts = await until(count, all => all.every(s => s >= SCATTERED_SECONDS), 'the work of both jobs', 120_000)
    const jobs = ids.map((id, i) => ({ id, counted: counts[i] ?? 0 }))
    await untilArrived(url, jobs)
    for (const { id, counted } of jobs) await expectCharged(url, id, counted)
    const { from, to } = await ask<JobDetail>(url, `jobs/${ids[0]}`)
    const [node] = (await ask<Nodes>(url, 'nodes')).nodes
    const functions = [
      ...ids.map(id => `jobs/${id}/functions?`),
      `functions?node=${node?.node}&from=${from - 60_000}&to=${to}&`,
    ]
    const paths = functions.map(path => functionOf(url, `${path}limit=1000`, 'scattered_gridengine'))
    const [one, two, all] = (await Promise.all(paths)).map(row => row?.samples ?? 0)
    expect(all).toBeGreaterThan(100)
    // Of both jobs together all that there is: none is nobody's.
    expect((one ?? 0) + (two ?? 0)).toBe(all)
  })
})
