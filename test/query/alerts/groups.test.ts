/** What a job's control group says is the same to rules, whichever version it is of: the collector's readings as rows, evaluated. */
import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { openCgroup } from '../../../collector/sources/cgroup.ts'
import { openControl } from '../../../ingest/control.ts'
import { LatestValues } from '../../../ingest/latest.ts'
import { findMetric } from '../../../ingest/metrics.ts'
import { EVERYONE } from '../../../query/access/who.ts'
import { ALERTS_DEFAULTS } from '../../../query/alerts/config.ts'
import { openAlerts } from '../../../query/alerts/service.ts'
import { openBursts } from '../../../query/bursts.ts'
import { openRoom } from '../../../query/desk.ts'
import { makeMachine, opened } from '../../collector/machine.ts'
import { MINUTE, openPlace, T0 } from '../place.ts'
import { jobRow, nodePoints } from './rows.ts'

const FIXTURES = new URL('../../fixtures/cgroup/after/', import.meta.url)
const captured = (path: string) => readFileSync(new URL(path, FIXTURES), 'utf8')
const V1 = 'slurm_capture/uid_1000/job_1'
const V2 = 'system.slice/slurmstepd.scope/job_2'

/** Of `seconds` seconds of CPU, and of memory without the file pages that the kernel can take back. */
interface Used {
  userSeconds: number
  systemSeconds: number
  memoryBytes: number
}
const LIMIT = 2 ** 33
const FILES = 3 << 20

/** Lines of a file as the kernel wrote it, with other numbers. */
const withNumbers = (text: string, numbers: Record<string, number>): string =>
  text.replace(/^(\S+) \d+$/gm, (line, name: string) => (name in numbers ? `${name} ${numbers[name]}` : line))

const inV1 = ({ userSeconds, systemSeconds, memoryBytes }: Used) => ({
  [`cpuacct/${V1}/cpuacct.usage_user`]: `${Math.round(userSeconds * 1e9)}\n`,
  [`cpuacct/${V1}/cpuacct.usage_sys`]: `${Math.round(systemSeconds * 1e9)}\n`,
  [`memory/${V1}/memory.usage_in_bytes`]: `${memoryBytes + FILES}\n`,
  [`memory/${V1}/memory.limit_in_bytes`]: `${LIMIT}\n`,
  [`memory/${V1}/memory.stat`]: withNumbers(captured(`memory/${V1.replace('job_1', 'job_4711')}/memory.stat`), {
    total_inactive_file: FILES,
  }),
  [`memory/${V1}/memory.oom_control`]: captured(`memory/${V1.replace('job_1', 'job_4711')}/memory.oom_control`),
})
/** cpu.stat as captured; the kernel here has no memory controller of v2: docs.kernel.org/admin-guide/cgroup-v2.html. */
const inV2 = ({ userSeconds, systemSeconds, memoryBytes }: Used) => ({
  'cgroup.controllers': 'cpuset cpu io memory pids\n',
  [`${V2}/cgroup.controllers`]: 'cpuset cpu io memory pids\n',
  [`${V2}/cpu.stat`]: withNumbers(captured('unified/system.slice/capture_slurmstepd.scope/job_4711/cpu.stat'), {
    usage_usec: Math.round((userSeconds + systemSeconds) * 1e6),
    user_usec: Math.round(userSeconds * 1e6),
    system_usec: Math.round(systemSeconds * 1e6),
  }),
  [`${V2}/memory.current`]: `${memoryBytes + FILES}\n`,
  [`${V2}/memory.stat`]: `anon ${memoryBytes}\nfile ${FILES}\ninactive_file ${FILES}\nactive_file 0\n`,
  [`${V2}/memory.max`]: `${LIMIT}\n`,
  [`${V2}/memory.events`]: 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n',
})

const TICKS = 26 * 6
/** Nearly idle from the begin, near the limit of its memory from minute 20 on. */
const usedAt = (tick: number): Used => ({
  userSeconds: 100 + tick * 0.6,
  systemSeconds: 50 + tick * 0.4,
  memoryBytes: Math.round(LIMIT * (tick < 20 * 6 ? 0.5 : 0.97)),
})

/** Rows of job_points as ingest writes them. */
function rowsFrom(node: string, filesAt: (used: Used) => Record<string, string>): object[] {
  const machine = makeMachine({})
  const write = (tick: number) => {
    for (const [path, text] of Object.entries(filesAt(usedAt(tick)))) machine.write(`sys/fs/cgroup/${path}`, text)
  }
  write(0)
  const cgroup = opened(openCgroup(machine.options))
  cgroup.read(machine.tick())
  return Array.from({ length: TICKS }, (_, i) => {
    write(i + 1)
    const readings = cgroup.read(machine.tick(10_000))
    const values = readings.map(({ column, value }) => [
      column,
      Math.round(value * (findMetric('job', column)?.scale ?? 1)),
    ])
    const of = { cluster: 'alpha', node, instance: readings[0]?.instance, time: T0 / 1000 + (i + 1) * 10 }
    return { ...of, interval_ms: 10_000, ...Object.fromEntries(values) }
  })
}

it('a job in a group of v2 is idle, and near its limit, as one in groups of v1 is', async () => {
  const place = await openPlace()
  for (const [id, node] of [
    ['1', 'n1'],
    ['2', 'n2'],
  ] as const)
    await place.write('jobs', [jobRow({ id, user: 'ann', start: -60, nodes: [node], cores: 8 })])
  await place.write('job_points', [...rowsFrom('n1', inV1), ...rowsFrom('n2', inV2)])
  for (const node of ['n1', 'n2'])
    await place.write(
      'node_points',
      nodePoints(node, 0, 26, () => ({ cpu_busy: 0.9, cpu_count: 8 })),
    )
  place.clock.now = T0 + 26 * MINUTE
  await place.restore()
  const [log, now] = [pino({ level: 'warn' }), () => place.clock.now]
  const bursts = openBursts({ control: openControl('alpha', log), keepBurst: async () => {}, log, now })
  const room = openRoom(place.store, new LatestValues(), bursts, now)
  const openDesk = () => room.desk({ who: EVERYONE, signal: undefined })
  const alerts = openAlerts({ store: place.store, config: ALERTS_DEFAULTS, log, now, openDesk })
  const told: string[] = []
  for (let minute = 15; minute <= 25; minute++) {
    place.clock.now = T0 + minute * MINUTE + ALERTS_DEFAULTS.delayMs
    await alerts.evaluator.tick()
    for (const { rule, series, alert } of alerts.evaluator.active())
      if (series.firedMs > 0 && series.firedMs === series.knownMs)
        told.push(`${minute} ${rule.name} ${alert.labels.job} ${Number(series.value.toFixed(3))}`)
  }
  await alerts.evaluator.close()
  expect(told).toEqual([
    '20 job-idle 1 0.1',
    '20 job-idle 2 0.1',
    '21 job-memory-near-limit 1 0.97',
    '21 job-memory-near-limit 2 0.97',
  ])
})
