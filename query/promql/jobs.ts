/** Jobs as series: 1 while a job runs. */
import type { Asker } from '../asker.ts'
import { and, type Sql, sql } from '../sql.ts'
import type { Matcher } from './ast.ts'
import { condition, type Windowed } from './conditions.ts'
import { JOB_NODE, testOf } from './names.ts'
import { type Labels, NAME, type Samples } from './vector.ts'

interface JobRow {
  cluster: string
  id: string
  name: string
  user: string
  account: string
  queue: string
  state: string
  nodes: string[]
  start: number
  end: number
}

const MOST_JOBS = 20_000
const JOB_EVERY_MS = 60_000

/** 1 while a job runs; a sample a minute stands for all of it. */
export async function readJobs(
  asker: Asker,
  labels: readonly Matcher[],
  window: Windowed,
  name: string,
): Promise<Samples[]> {
  const byId = labels.filter(m => m.label === 'job' || m.label === 'user' || m.label === 'cluster')
  const rows = await asker.rows<JobRow>(
    'promql jobs',
    sql`SELECT cluster, id, name, toString(user) AS user, toString(account) AS account, toString(queue) AS queue, toString(state) AS state, nodes,
          toFloat64(start_ms) AS start, toFloat64(end_ms) AS end
        FROM jobs FINAL WHERE ${and([
          sql`start_ms > 0 AND start_ms < ${window.to} AND (end_ms = 0 OR end_ms > ${window.from})`,
          ...byId.map(m => condition(sql`toString(${JOB_COLUMNS[m.label] ?? sql`id`})`, m)),
        ])} ORDER BY start_ms DESC LIMIT ${MOST_JOBS}`,
  )
  const tests = labels.map(m => ({ label: m.label, test: testOf(m) }))
  return rows
    .flatMap(row => jobLabels(row, name).map(of => ({ of, row })))
    .filter(({ of }) => tests.every(({ label, test }) => test(of.get(label) ?? '')))
    .map(({ of, row }) => ({ labels: of, ...runOf(row, window) }))
}

const JOB_COLUMNS: Readonly<Record<string, Sql>> = { job: sql`id`, user: sql`user`, cluster: sql`cluster` }

function jobLabels({ cluster, id, nodes, user, ...row }: JobRow, name: string): Labels[] {
  const common: [string, string][] = [
    [NAME, name],
    ['cluster', cluster],
    ['job', id],
    ['user', user],
  ]
  if (name === JOB_NODE) return nodes.map(node => new Map([...common, ['node', node]]))
  const { account, queue, state } = row
  const more: [string, string][] = [
    ['name', row.name],
    ['account', account],
    ['queue', queue],
    ['state', state],
  ]
  return [new Map([...common, ...more].filter(([, value]) => value !== ''))]
}

function runOf({ start, end }: JobRow, { from, to }: Windowed): Omit<Samples, 'labels'> {
  const endMs = end === 0 ? undefined : end
  const first = Math.max(start, from + 1)
  const count = Math.max(1, Math.floor((Math.min(endMs ?? to, to) - first) / JOB_EVERY_MS) + 1)
  const times = Array.from({ length: count }, (_, i) => first + i * JOB_EVERY_MS)
  return { times, values: times.map(() => 1), endMs }
}
