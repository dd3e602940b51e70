/** Real jobs on a real slurmctld with two slurmd: what the poller sends, against Slurm's own accounting, and whose each process is. */
import { writeFileSync } from 'node:fs'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Attribution, openAttribution, type Searched } from '../../collector/attribution.ts'
import { runKey } from '../../collector/schedulers/contract.ts'
import { expandHostlist } from '../../collector/schedulers/hostlist.ts'
import { type Poller, startPoller } from '../../collector/schedulers/poller.ts'
import { openScheduler } from '../../collector/schedulers/scheduler.ts'
import { readBoot, startMsOf } from '../../collector/starttime.ts'
import type { Job, Node } from '../../ingest/records.ts'
import { MPIRUN, processesOf, TREE } from '../testbeds/processes.ts'
import { endedAs, heldIn, isOver, ranAs, rowsOf, SACCT, submitMsOf } from '../testbeds/sacct.ts'
import { type Testbed, upTestbed } from '../testbeds/testbed.ts'

const log = pino({ level: 'silent' })
/** Roads run side by side: each knows its own processes. */
const road = (tag: string) => `${tag}-${process.pid}`
const boot = readBoot({ proc: '/proc' })
const ODD = 'new\nline=x | "quo\'te" JobState=FAKE \\ 日本'

const sumOf = (values: readonly (number | undefined)[] = []): number =>
  values.reduce<number>((sum, value) => sum + (value ?? 0), 0)

/** First run of a job. */
const first = (jobs: ReadonlyMap<string, Job>, id: string | undefined): Job | undefined => runs(jobs, id)[0]
const runs = (jobs: ReadonlyMap<string, Job>, id: string | undefined): Job[] =>
  [...jobs.values()].filter(job => job.id === id).sort((a, b) => (a.submitMs ?? 0) - (b.submitMs ?? 0))

interface Bed {
  bed: Testbed
  poller: Poller
  attribution: Attribution
  jobs: Map<string, Job>
  /** As the queue told them while they ran, before accounting said anything. */
  running: Map<string, Job>
  nodes: Map<string, Node>
}

async function open(options: readonly string[], format: 'json' | 'text'): Promise<Bed | string> {
  const bed = upTestbed('slurm', options)
  if ('absent' in bed) return bed.absent
  writeFileSync(`${bed.directory}/out/tree.sh`, TREE, { mode: 0o755 })
  writeFileSync(`${bed.directory}/out/mpirun.sh`, MPIRUN, { mode: 0o755 })
  const told = { jobs: new Map<string, Job>(), running: new Map<string, Job>(), nodes: new Map<string, Node>() }
  const poller = await startPolling(bed, format, told)
  return { bed, poller, attribution: attributionOf(bed, poller), ...told }
}

/** `evidence`: what is looked for; absent: all there is. */
function attributionOf({ env }: Testbed, poller: Poller, evidence?: Searched[]): Attribution {
  const hints = { schedulerHints: (rawId: string) => poller.hint(rawId) }
  const only = evidence ? { evidence } : {}
  return openAttribution({ roots: { proc: '/proc' }, log, env, boot, refreshMs: 1000, ...hints, ...only })
}

async function startPolling(
  { env }: Testbed,
  format: 'json' | 'text',
  { jobs, running, nodes }: Pick<Bed, 'jobs' | 'running' | 'nodes'>,
): Promise<Poller> {
  const scheduler = await openScheduler({ kind: 'auto', log, env, timeoutMs: 20_000, format })
  if ('absent' in scheduler) throw new Error(scheduler.absent)
  const send = async (_: string, body: Uint8Array) => {
    const told = JSON.parse(Buffer.from(body).toString()) as { jobs: Job[]; nodes: Node[] }
    for (const job of told.jobs) {
      jobs.set(runKey(job), job)
      if (job.state === 'running') running.set(runKey(job), job)
    }
    for (const node of told.nodes) nodes.set(node.node, node)
    return { ok: true } as const
  }
  return startPoller(scheduler, { cluster: 'lab', pollEveryMs: 1000 }, { log, send })
}

const submit = (bed: Testbed, args: string, user?: string) =>
  bed.run(`sbatch --parsable -o /dev/null ${args}`, user).then(id => id.split('\n')[0] ?? '')

/** So many that all jobs together fit on one node: Slurm fills the first, and the job with GPUs needs both. */
const CPUS = 16
const BEDS = [
  {
    name: 'cgroup, JSON',
    options: ['--proctrack', 'cgroup', '--accounting', '--cpus', `${CPUS}`, '--gpus', '2'],
    format: 'json',
  },
  {
    name: 'linuxproc, text',
    options: ['--proctrack', 'linuxproc', '--cpus', `${CPUS}`, '--port', '27150'],
    format: 'text',
  },
] as const

describe.each(BEDS)('Slurm: $name', ({ options, format }) => {
  let opened: Bed | string = 'not opened'
  const ids: Record<string, string> = {}

  beforeAll(async () => {
    opened = await open(options, format)
    if (typeof opened === 'string') return console.error(`skipped: ${opened}`)
    const { bed } = opened
    ids.fail = await submit(bed, `-J fail --wrap 'exit 3'`)
    ids.killed = await submit(bed, `-J killed --wrap 'kill -9 $$'`)
    ids.odd = await submit(bed, `-J '${ODD.replace("'", `'"'"'`)}' --wrap 'sleep 120'`)
    ids.one = await submit(bed, `-J one -N2 -n3 --export=ALL,ROAD=${road('one')} --wrap "srun ./tree.sh"`, 'labuser1')
    ids.two = await submit(bed, `-J two -N2 -n2 -t 90 --export=ALL,ROAD=${road('two')} ./tree.sh`, 'labuser2')
    ids.mpi = await submit(bed, `-J mpi -N2 -n2 --export=ALL,ROAD=${road('mpi')} ./mpirun.sh`, 'labuser2')
    ids.cancelled = await submit(bed, `-J cancelled --wrap 'sleep 300'`)
    ids.array = await submit(bed, `-J array -a 1-4%2 --export=ALL,ROAD=${road('array')} ./tree.sh`, 'labuser2')
    ids.held = await submit(bed, '-H -J held --mem=150M --wrap true')
    // Without gres on the bed it would be refused.
    if (options.includes('--gpus' as never))
      ids.gpu = await submit(bed, `-J gpu -N2 -n3 --gres=gpu:1 --mem=150M --wrap 'sleep 15'`, 'labuser1')
  }, 300_000)
  afterAll(async () => {
    if (typeof opened === 'string') return
    opened.attribution.close()
    await opened.poller.stop()
    opened.bed.down()
  }, 120_000)

  const use = (skip: (note: string) => never): Bed => (typeof opened === 'string' ? skip(opened) : opened)
  const settled = (bed: Bed, id: string | undefined, state: string) =>
    expect.poll(() => first(bed.jobs, id)?.state, { timeout: 60_000, interval: 250 }).toBe(state)

  it('tells each job as it is', async ({ skip }) => {
    const bed = use(skip)
    await settled(bed, ids.two, 'running')
    await settled(bed, `${ids.array}_2`, 'running')
    await settled(bed, ids.fail, 'failed')
    expect(first(bed.jobs, ids.fail)).toMatchObject({ exitCode: 3, queue: 'main', user: 'root', cluster: 'lab' })
    await settled(bed, ids.killed, 'failed')
    await settled(bed, ids.held, 'held')
    await settled(bed, ids.odd, 'running')
    expect(first(bed.jobs, ids.odd)?.name).toBe(ODD)
    expect(first(bed.jobs, ids.array)).toMatchObject({ state: 'queued', arrayTask: '3-4%2', arrayId: ids.array })
    const two = first(bed.jobs, ids.two)
    expect(two).toMatchObject({ name: 'two', user: 'labuser2', nodeCount: 2, cores: 2, timeLimitSeconds: 5400 })
    expect(two?.allocations?.map(a => a.node)).toEqual(['lab1', 'lab2'])
    if (ids.gpu !== undefined) {
      await expect.poll(() => first(bed.running, ids.gpu)?.state, { timeout: 30_000 }).toBe('running')
      const gpu = first(bed.running, ids.gpu)
      expect(gpu).toMatchObject({ gpus: 2, memoryBytes: 300 * 2 ** 20 })
      expect(gpu?.allocations?.map(a => [a.node, a.gpus, a.memoryBytes])).toEqual([
        ['lab1', 1, 150 * 2 ** 20],
        ['lab2', 1, 150 * 2 ** 20],
      ])
    }
    expect([...bed.nodes.values()].map(n => [n.node, n.schedulerState, n.schedulerCores])).toEqual([
      ['lab1', expect.stringMatching(/^(mixed|allocated)/), CPUS],
      ['lab2', expect.stringMatching(/^(mixed|allocated)/), CPUS],
    ])
  })

  it('tells what is held on each node, where JSON says it', ({ skip }) => {
    const { jobs } = use(skip)
    const cores = first(jobs, ids.one)?.allocations?.map(a => a.cores ?? 0) ?? []
    expect(cores.reduce((a, b) => a + b, 0)).toBe(format === 'json' ? 3 : 0)
  })

  it('charges every process to its job: children, other sessions, daemons', async ({ skip }) => {
    const { attribution } = use(skip)
    const jobOf = (p: { pid: number; startMs: number }) => attribution.charge(p.pid, p.startMs)
    // one: 3 tasks of tree.sh (7 processes each), the batch script and srun; two: one tree.sh; array: two of them
    for (const [tag, atLeast] of [
      ['one', 23],
      ['two', 7],
      ['array', 14],
      // on each node a daemon and two ranks of two processes, and srun beside them
      ['mpi', 11],
    ] as const)
      await expect.poll(() => processesOf(road(tag), boot).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(atLeast)
    await expect
      .poll(
        () =>
          processesOf(road('two'), boot)
            .filter(p => p.comm === 'sleep')
            .map(p => jobOf(p).evidence)
            .sort(),
        { timeout: 30_000 },
      )
      .toEqual(
        options[1] === 'cgroup'
          ? ['cgroup', 'cgroup', 'cgroup', 'cgroup']
          : ['environment', 'listpids', 'listpids', 'listpids'],
      )
    for (const tag of ['one', 'two', 'mpi']) {
      const processes = processesOf(road(tag), boot)
      expect(new Set(processes.map(p => jobOf(p).job))).toEqual(new Set([ids[tag]]))
    }
    expect(new Set(processesOf(road('array'), boot).map(p => jobOf(p).job))).toEqual(
      new Set([`${ids.array}_1`, `${ids.array}_2`]),
    )
    const steps = processesOf(road('one'), boot)
      .map(p => jobOf(p))
      .filter(c => c.step === '0')
    expect(new Set(steps.map(c => c.rank))).toEqual(new Set([0, 1, 2]))
    const ranks = processesOf(road('mpi'), boot).map(p => jobOf(p).rank ?? -1)
    expect(ranks).toEqual(expect.arrayContaining([0, 1, 2, 3]))
    expect(attribution.charge(process.pid, startMsOf(boot, 0) + 1).job).toBe('')
  })

  // The daemon of tree.sh has init for a parent: what it was started with is all that is left of it then.
  it.for([
    [['listpids', 'environment', 'parent'], 7],
    [['environment', 'parent'], 7],
    [['parent'], 5],
  ] as const)('with what is better switched off, by %o', async ([searched, ofTree], { skip }) => {
    const { bed, poller } = use(skip)
    const [first] = searched
    const attribution = attributionOf(bed, poller, [...searched])
    const charges = (tag: string) => processesOf(road(tag), boot).map(p => attribution.charge(p.pid, p.startMs))
    const found = (tag: string) => charges(tag).filter(c => c.evidence === first).length
    try {
      // scontrol is asked in the background, so the first answers are by what comes after it
      for (const tag of ['two', 'mpi']) await expect.poll(() => found(tag), { timeout: 30_000 }).toBeGreaterThan(3)
      for (const tag of ['two', 'mpi']) {
        const jobs = charges(tag).map(c => c.job)
        const missed = jobs.filter(job => job === '').length
        expect(new Set(jobs.filter(job => job !== '')), `${tag} by ${searched}`).toEqual(new Set([ids[tag]]))
        expect(missed, `${tag} by ${searched}`).toBeLessThanOrEqual(tag === 'two' ? 7 - ofTree : 0)
      }
    } finally {
      attribution.close()
    }
  })

  it('tells ends as they come', async ({ skip }) => {
    const bed = use(skip)
    await bed.bed.run(`scancel ${ids.cancelled} ${ids.one} ${ids.array} ${ids.odd}`)
    await settled(bed, ids.cancelled, 'cancelled')
    await settled(bed, ids.one, 'cancelled')
    await expect.poll(() => first(bed.jobs, ids.array)?.state, { timeout: 30_000 }).toBe('cancelled')
    expect(first(bed.jobs, ids.cancelled)?.endMs).toBeGreaterThan(0)
  })

  it('tells the runs of a requeued job apart', async ({ skip }) => {
    const bed = use(skip)
    await bed.bed.run(`scontrol requeue ${ids.two}`)
    await expect.poll(() => runs(bed.jobs, ids.two).length, { timeout: 30_000 }).toBe(2)
    await settled(bed, ids.two, 'requeued')
    expect(runs(bed.jobs, ids.two)[1]).toMatchObject({ state: expect.stringMatching(/queued|running/), restarts: 1 })
  })

  it('agrees with accounting', async ({ skip }) => {
    const { bed, jobs, running } = use(skip)
    if (!options.includes('--accounting' as never)) return
    await expect.poll(() => first(jobs, ids.gpu)?.state, { timeout: 30_000 }).toBe('completed')
    const rows = rowsOf(await bed.run(SACCT))
    expect(rows.map(row => row.JobID)).toEqual(
      expect.arrayContaining([ids.fail, ids.one, ids.cancelled, ids.gpu, `${ids.array}_1`]),
    )
    let compared = 0
    for (const row of rows.filter(isOver)) {
      const id = row.JobID ?? ''
      const job = [...jobs.values()].find(j => j.id === id && j.submitMs === submitMsOf(row))
      if (job?.endMs === undefined) continue
      expect(job, id).toMatchObject(endedAs(row))
      const ran = running.get(runKey(job))
      if (ran === undefined) continue
      compared++
      expect(ran, id).toMatchObject(ranAs(row))
      expect(sumOf(ran.allocations?.map(a => a.memoryBytes)), id).toBe(ran.memoryBytes)
      expect(sumOf(ran.allocations?.map(a => a.gpus)), id).toBe(ran.gpus ?? 0)
      expect(
        ran.allocations?.map(a => a.node),
        id,
      ).toEqual(expandHostlist(row.NodeList ?? ''))
      // sacct prints a name up to its first newline on the job's own line
      expect(ran.name?.split('\n')[0], id).toBe(row.JobName)
      // Of a cancelled job the queue tells the signal, accounting nothing.
      if (job.state !== 'cancelled') expect(`${job.exitCode ?? 0}:${job.signal ?? 0}`, id).toBe(row.ExitCode)
    }
    expect(compared).toBeGreaterThanOrEqual(5)
    const [state, asked] = (await bed.run(`sacct -a -X -n -P -j ${ids.held} -o State,ReqTRES`)).split('|')
    expect(state).toBe('PENDING')
    expect(first(jobs, ids.held)).toMatchObject({ ...heldIn(asked), cores: 1 })
  })

  it('knows of a hundred short jobs that came and went while nobody looked', async ({ skip }) => {
    const { bed, jobs } = use(skip)
    if (!options.includes('--accounting' as never)) return
    const opened = use(skip)
    await opened.poller.stop()
    const id = await submit(bed, '-J short -a 1-100 --wrap "exit \\$((SLURM_ARRAY_TASK_ID % 2))"', 'labuser1')
    const ended = () => bed.run(`sacct -a -X -n -P -j ${id} -s CD,F -o JobID | sort -u | wc -l`)
    await expect.poll(ended, { timeout: 120_000, interval: 1000 }).toBe('100')
    opened.poller = await startPolling(bed, format, opened)
    await expect
      .poll(() => [...jobs.values()].filter(job => job.arrayId === id && job.endMs).length, { timeout: 30_000 })
      .toBe(100)
    expect(first(jobs, `${id}_7`)).toMatchObject({ state: 'failed', exitCode: 1, user: 'labuser1', name: 'short' })
    expect(first(jobs, `${id}_8`)).toMatchObject({ state: 'completed', exitCode: 0 })
  }, 200_000)

  it('says that the controller is down, and ends no job for it', async ({ skip }) => {
    const { bed, poller, jobs } = use(skip)
    const before = poller.status().jobs
    await bed.run(`kill -KILL $(cat ${bed.directory}/slurmctld.pid)`)
    await expect
      .poll(() => poller.status().unreadable, { timeout: 60_000, interval: 500 })
      .toMatch(/^scheduler unreadable: /)
    expect(poller.status().jobs).toBe(before)
    expect([...jobs.values()].filter(job => job.state === 'unknown')).toEqual([])
  })
})
