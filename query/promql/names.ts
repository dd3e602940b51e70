/**
 * What the store has, as Prometheus names it.
 *
 *   jobsight_node_cpu_busy{cluster, node}          a column of the catalogue: jobsight_<entity>_<column>
 *   jobsight_disk_read_bytes{cluster, node, disk}  an instance stands under the name of its entity
 *   jobsight_job_info{cluster, job, name, user, account, queue, state} 1     while a job runs
 *   jobsight_job_node{cluster, node, job, user} 1                            for * on (cluster, node) group_left (job)
 *   http_requests_total{cluster, node, …}          a series under its own name, what Prometheus does not allow as _
 */
import { type COLUMNS, ENTITIES, type Entity, METRICS, type Metric } from '../../ingest/metrics.ts'
import type { Asker } from '../asker.ts'
import { badRequest } from '../errors.ts'
import { sql } from '../sql.ts'
import type { Matcher } from './ast.ts'
import { NAME } from './vector.ts'

export const nameOf = ({ entity, column }: Metric): string => `jobsight_${entity}_${column}`

export const CATALOGUE: ReadonlyMap<string, Metric> = new Map(METRICS.map(metric => [nameOf(metric), metric]))
export const JOB_INFO = 'jobsight_job_info'
export const JOB_NODE = 'jobsight_job_node'

/** '' for the node itself. */
export const instanceLabel = (entity: Entity): string => (entity === 'node' ? '' : entity)
export const ENTITY_LABELS: readonly string[] = (Object.keys(ENTITIES) as (keyof typeof COLUMNS)[])
  .map(instanceLabel)
  .filter(label => label !== '')

export const sanitized = (name: string): string => name.replace(/[^a-zA-Z0-9_:]/g, '_').replace(/^(\d)/, '_$1')

export interface Named {
  catalogue: Metric[]
  jobInfo: boolean
  jobNode: boolean
  /** As the store has them. */
  series: string[]
}

/** One expression may not read all there is. */
const MOST_METRICS = 100

export async function resolveNames(asker: Asker, matchers: readonly Matcher[]): Promise<Named> {
  const wanted = matchers.filter(m => m.label === NAME)
  const tests = wanted.map(testOf)
  const fits = (name: string): boolean => tests.every(test => test(name))
  const stored = wanted.some(m => m.op === '=' && CATALOGUE.has(m.value)) ? [] : await readSeriesNames(asker)
  const named = {
    catalogue: [...CATALOGUE].flatMap(([name, metric]) => (fits(name) ? [metric] : [])),
    jobInfo: fits(JOB_INFO),
    jobNode: fits(JOB_NODE),
    series: stored.filter(name => fits(sanitized(name))),
  }
  if (named.catalogue.length + named.series.length > MOST_METRICS) {
    throw badRequest(`more than ${MOST_METRICS} metrics are meant: name one, or match fewer with __name__=~`)
  }
  return named
}

export async function readSeriesNames(asker: Asker): Promise<string[]> {
  const rows = await asker.rows<{ name: string }>(
    'promql names',
    sql`SELECT DISTINCT toString(name) AS name FROM series ORDER BY name LIMIT 100000`,
  )
  return rows.map(row => row.name)
}

/** Whether a text fits; patterns are whole, as in Prometheus. Of names of ours, and of '' for labels that are not there. */
export function testOf({ op, value }: Matcher): (text: string) => boolean {
  if (op === '=') return text => text === value
  if (op === '!=') return text => text !== value
  const pattern = patternOf(value)
  return op === '=~' ? text => pattern.test(text) : text => !pattern.test(text)
}

function patternOf(text: string): RegExp {
  if (text.length > 5000) throw badRequest('a pattern is longer than 5000 characters')
  const flags = /^\(\?([is]+)\)/.exec(text)
  try {
    return new RegExp(`^(?:${text.slice(flags?.[0].length ?? 0)})$`, flags?.[1]?.includes('i') ? 'is' : 's')
  } catch {
    throw badRequest(`${text} is no regular expression`)
  }
}
