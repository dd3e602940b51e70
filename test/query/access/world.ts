/**
 * Jobs of three people who share nodes, in everything that the store holds, each with words of its own in every text:
 *
 *            T0          +10 min        +20 min       +30 min (now)
 *   n1  |- ann's 11 ----------------------|
 *              |- bob's 12 --------------------------- ... runs
 *   n2  |- ann's 11 ----------------------|
 *   n3         |- bob's 12 --------------------------- ... runs        and two days before, bob's first 11 (ids come again)
 *   n4  |- carol's 13 -------------------------------- ... runs        carol and ann compute for physics, bob for chemistry
 *   cluster beta: ann's 12 on n9
 */
import { MINUTE, type Place, SECOND, T0 } from '../place.ts'

export const NOW = T0 + 30 * MINUTE
const DAYS2 = 2 * 86_400_000

/** What must not be read by who is not meant to: these are in every text of a person's rows. */
export const MARK = { ann: 'annmark', bob: 'bobmark', carol: 'carolmark', root: 'rootmark' } as const
type Person = keyof typeof MARK

interface Run {
  cluster: string
  id: string
  person: Person
  account: string
  nodes: string[]
  fromMs: number
  /** 0: it runs. */
  toMs: number
}

const RUNS: Run[] = [
  {
    cluster: 'alpha',
    id: '11',
    person: 'bob',
    account: 'chemistry',
    nodes: ['n3'],
    fromMs: T0 - DAYS2,
    toMs: T0 - DAYS2 + 10 * MINUTE,
  },
  {
    cluster: 'alpha',
    id: '11',
    person: 'ann',
    account: 'physics',
    nodes: ['n1', 'n2'],
    fromMs: T0,
    toMs: T0 + 20 * MINUTE,
  },
  {
    cluster: 'alpha',
    id: '12',
    person: 'bob',
    account: 'chemistry',
    nodes: ['n1', 'n3'],
    fromMs: T0 + 5 * MINUTE,
    toMs: 0,
  },
  { cluster: 'alpha', id: '13', person: 'carol', account: 'physics', nodes: ['n4'], fromMs: T0, toMs: 0 },
  { cluster: 'beta', id: '12', person: 'ann', account: 'physics', nodes: ['n9'], fromMs: T0, toMs: T0 + 20 * MINUTE },
]

const nameOf = (person: Person): string => `${MARK[person]}-name`
const idOf = (text: string): string =>
  String([...text].reduce((sum, c) => sum * 31n + BigInt(c.charCodeAt(0)), 7n) % 2n ** 63n)

const jobRow = (run: Run) => {
  const { cluster, id, person, account, nodes, fromMs, toMs } = run
  const state = toMs === 0 ? 'running' : 'completed'
  const record = {
    cluster,
    id,
    rawId: `k${id}`,
    scheduler: 'slurm',
    name: nameOf(person),
    user: person,
    account,
    queue: 'main',
    state,
    submitMs: fromMs,
    startMs: fromMs,
    ...(toMs === 0 ? {} : { endMs: toMs }),
    cores: 4,
    workDir: `/home/${MARK[person]}`,
    allocations: nodes.map(node => ({ node, cores: 4 })),
    updatedMs: fromMs,
  }
  return {
    cluster,
    id,
    raw_id: record.rawId,
    name: record.name,
    user: person,
    account,
    queue: 'main',
    state,
    submit_ms: fromMs,
    start_ms: fromMs,
    end_ms: toMs,
    node_count: nodes.length,
    cores: 4,
    nodes,
    record: JSON.stringify(record),
    updated_ms: fromMs,
  }
}

interface Part {
  cluster: string
  node: string
  job: string
  person: Person
  pid: number
  timeMs: number
}

/** Every five minutes, so that a minute that is nobody's lies between two rows. */
function partsOf({ cluster, id, person, nodes, fromMs, toMs }: Run): Part[] {
  const times: number[] = []
  for (let timeMs = fromMs + MINUTE; timeMs < (toMs || NOW); timeMs += MINUTE) times.push(timeMs)
  const pid = 100 + Number(id)
  return nodes.flatMap(node => times.map(timeMs => ({ cluster, node, job: id, person, pid, timeMs })))
}

const processRow = ({ cluster, node, job, person, pid, timeMs }: Part) => ({
  cluster,
  node,
  time: timeMs / SECOND,
  interval_ms: 10_000,
  pid,
  start_ms: T0 - 3000,
  name: `${MARK[person]}-app`,
  command: `/home/${MARK[person]}/app --secret`,
  user: person,
  job,
  evidence: 'cgroup',
  cpu_user: 2,
  memory_bytes: 1e9,
  state: 'R',
})

const functionOf = (person: Person): string => `${MARK[person]}_function`
const stackIdOf = (person: Person): string => idOf(`stack ${person}`)

const sampleRow = ({ cluster, node, job, person, pid, timeMs }: Part) => ({
  cluster,
  node,
  job,
  event: 'cpu',
  pid,
  start_ms: T0 - 3000,
  time: timeMs / SECOND,
  window_ms: 10_000,
  process: `${MARK[person]}-app`,
  thread: 't',
  evidence: 'cgroup',
  burst: '',
  stack_id: stackIdOf(person),
  value: 1_000_000_000,
  count: 10,
})

const minuteRow = ({ cluster, node, job, person, pid, timeMs }: Part) => ({
  cluster,
  node,
  job,
  event: 'cpu',
  pid,
  start_ms: T0 - 3000,
  minute: timeMs / SECOND,
  function_id: idOf(functionOf(person)),
  self: 1_000_000_000,
  total: 1_000_000_000,
  self_count: 10,
})

const EVERYONES: Person[] = ['ann', 'bob', 'carol', 'root']

/** A daemon of no job and a shell of ann's outside of jobs, on the node that all share. */
const OUTSIDE: Part[] = [
  { cluster: 'alpha', node: 'n1', job: '', person: 'root', pid: 1, timeMs: T0 + 6 * MINUTE },
  { cluster: 'alpha', node: 'n1', job: '', person: 'ann', pid: 50, timeMs: T0 + 6 * MINUTE },
]

const NODES = { alpha: ['n1', 'n2', 'n3', 'n4', 'n5'], beta: ['n9'] } as const

/** The whole hour of every node, whoever was there: cpu_busy of minute i is i %. */
function nodePoints() {
  return Object.entries(NODES).flatMap(([cluster, nodes]) =>
    nodes.flatMap(node =>
      Array.from({ length: 60 }, (_, i) => ({
        cluster,
        node,
        time: (T0 - 30 * MINUTE + (i + 1) * MINUTE) / SECOND,
        interval_ms: MINUTE,
        cpu_busy: (i + 1) * 100,
        cpu_count: 8,
      })),
    ),
  )
}

/** Values of a job's control group; the instance is the job. */
const jobPoint = ({ cluster, node, job, timeMs }: Part) => ({
  cluster,
  node,
  instance: job,
  time: timeMs / SECOND,
  interval_ms: 10_000,
  cpu_user: 2000,
})

export async function writeWorld(place: Place): Promise<void> {
  place.clock.now = NOW
  const parts = RUNS.flatMap(partsOf)
  await place.write('jobs', RUNS.map(jobRow))
  await place.write('processes', [...parts, ...OUTSIDE].map(processRow))
  await place.write('samples', [...parts, ...OUTSIDE].map(sampleRow))
  await place.write('function_minutes', [...parts, ...OUTSIDE].map(minuteRow))
  await place.write('node_points', nodePoints())
  await place.write('job_points', parts.map(jobPoint))
  const seen = '2026-01-05'
  await place.write(
    'stacks',
    EVERYONES.map(person => ({
      stack_id: stackIdOf(person),
      category: 'compute',
      frames: [idOf(`frame ${person}`)],
      seen,
    })),
  )
  await place.write(
    'frames',
    EVERYONES.map(person => ({
      frame_id: idOf(`frame ${person}`),
      function_id: idOf(functionOf(person)),
      function: functionOf(person),
      module: `${MARK[person]}.so`,
      file: 'a.c',
      line: 1,
      kind: 'native',
      seen,
    })),
  )
  await place.restore()
}
