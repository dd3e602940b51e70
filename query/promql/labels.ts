/** What series and labels there are: for the pick lists of Grafana's query builder and its variables. */

import { ENTITIES, METRICS, type Metric } from '../../ingest/metrics.ts'
import { type Asker, strings } from '../asker.ts'
import type { Known } from '../known.ts'
import { tableOf } from '../points.ts'
import { and, sql } from '../sql.ts'
import type { Matcher } from './ast.ts'
import { inside, metricConditions, type Windowed } from './conditions.ts'
import {
  CATALOGUE,
  ENTITY_LABELS,
  JOB_INFO,
  JOB_NODE,
  nameOf,
  readSeriesNames,
  resolveNames,
  sanitized,
} from './names.ts'
import { metricLabels, openSource, readSeriesRows, seriesConditions, seriesLabels, tableFor } from './source.ts'
import { type Labels, NAME } from './vector.ts'

/** Labels of every series that matches and was heard of in the window. */
export async function findSeries(
  asker: Asker,
  known: Known,
  selectors: readonly (readonly Matcher[])[],
  window: Windowed,
): Promise<Labels[]> {
  const found = await Promise.all(selectors.map(matchers => findMatching(asker, known, matchers, window)))
  return found.flat()
}

async function findMatching(
  asker: Asker,
  known: Known,
  matchers: readonly Matcher[],
  window: Windowed,
): Promise<Labels[]> {
  const named = await resolveNames(asker, matchers)
  const labels = matchers.filter(m => m.label !== NAME)
  const jobs = [...(named.jobInfo ? [JOB_INFO] : []), ...(named.jobNode ? [JOB_NODE] : [])]
  const read = openSource(asker, known)
  const found = await Promise.all([
    ...named.catalogue.map(metric => findOfMetric(asker, known, metric, labels, window)),
    ...jobs.map(async name => {
      const samples = await read([{ label: NAME, op: '=', value: name }, ...labels], {
        fromMs: window.from,
        toMs: window.to,
      })
      return samples.map(of => of.labels)
    }),
    named.series.length > 0
      ? readSeriesRows(asker, seriesConditions(named.series, labels)).then(rows => rows.map(seriesLabels))
      : [],
  ])
  return found.flat()
}

async function findOfMetric(
  asker: Asker,
  known: Known,
  metric: Metric,
  labels: readonly Matcher[],
  window: Windowed,
): Promise<Labels[]> {
  const conditions = metricConditions(metric, labels)
  if (conditions === undefined) return []
  const rollup = await tableFor(asker, known, metric, labels, window)
  const instance = metric.entity === 'node' ? sql`''` : sql`toString(instance)`
  const [clusters, nodes, instances] = await asker.columns(
    'promql labels',
    sql`SELECT DISTINCT toString(cluster), toString(node), ${instance} FROM ${tableOf(metric.entity, rollup)}
        WHERE ${and([inside(window), ...conditions])} LIMIT 20000`,
  )
  const [ofNodes, ofInstances] = [strings(nodes), strings(instances)]
  return strings(clusters).map((cluster, i) => metricLabels(metric, cluster, ofNodes[i] ?? '', ofInstances[i] ?? ''))
}

const JOB_LABELS = ['job', 'user', 'name', 'account', 'queue', 'state']

/** Names of labels, without a selector: those of the catalogue, of jobs and of stored series. */
export async function readLabelNames(asker: Asker): Promise<string[]> {
  const rows = await asker.rows<{ label: string }>(
    'promql label names',
    sql`SELECT DISTINCT toString(arrayJoin(mapKeys(attributes))) AS label FROM series LIMIT 10000`,
  )
  const stored = rows.map(row => row.label.replace(/[^a-zA-Z0-9_]/g, '_'))
  return sortedOnce([NAME, 'cluster', 'node', ...ENTITY_LABELS, ...JOB_LABELS, ...stored])
}

export async function readLabelValues(asker: Asker, known: Known, label: string): Promise<string[]> {
  if (label === NAME) {
    return sortedOnce([...CATALOGUE.keys(), JOB_INFO, JOB_NODE, ...(await readSeriesNames(asker)).map(sanitized)])
  }
  const clusters = [...(await known.clusters(asker)).keys()]
  const own = label === 'cluster' ? clusters : label === 'node' ? await nodesOf(asker, known, clusters) : []
  return sortedOnce([...own, ...(await entityValues(asker, label)), ...(await attributeValues(asker, label))])
}

async function nodesOf(asker: Asker, known: Known, clusters: readonly string[]): Promise<string[]> {
  const found = await Promise.all(clusters.map(cluster => known.nodes(asker, cluster)))
  return found.flatMap(nodes => [...nodes.values()])
}

/** Disks, interfaces, … of the last days, from the rollup of an hour. */
async function entityValues(asker: Asker, label: string): Promise<string[]> {
  const metric = METRICS.find(m => m.entity === label && m.entity !== 'node')
  if (metric === undefined || !Object.hasOwn(ENTITIES, label)) return []
  const window = { from: asker.nowMs - 7 * 86_400_000, to: asker.nowMs + 3_600_000 }
  const rows = await asker.rows<{ instance: string }>(
    'promql instances',
    sql`SELECT DISTINCT toString(instance) AS instance FROM ${tableOf(metric.entity, '1h')} WHERE ${inside(window)} LIMIT 20000`,
  )
  return rows.map(row => row.instance)
}

async function attributeValues(asker: Asker, label: string): Promise<string[]> {
  const rows = await asker.rows<{ value: string }>(
    'promql label values',
    sql`SELECT DISTINCT attributes[k] AS value FROM series
        ARRAY JOIN arrayFilter(k -> replaceRegexpAll(toString(k), '[^a-zA-Z0-9_]', '_') = ${label}, mapKeys(attributes)) AS k LIMIT 20000`,
  )
  return rows.map(row => row.value)
}

export const sortedOnce = (values: readonly string[]): string[] => [...new Set(values)].filter(v => v !== '').sort()

/** Type, help and unit as Prometheus tells them. */
export async function readMetadata(asker: Asker, metric: string | undefined): Promise<Record<string, object[]>> {
  const stored = await asker.rows<{ name: string; kind: string; unit: string }>(
    'promql metadata',
    sql`SELECT toString(name) AS name, toString(any(kind)) AS kind, toString(any(unit)) AS unit FROM series GROUP BY name LIMIT 100000`,
  )
  const of = (type: string, help: string, unit: string) => [{ type, help, unit }]
  const all: [string, object[]][] = [
    ...METRICS.map((m): [string, object[]] => [nameOf(m), of('gauge', m.meaning, m.unit)]),
    [JOB_INFO, of('gauge', '1 while a job runs', '')],
    [JOB_NODE, of('gauge', '1 for each node of a job while it runs', '')],
    ...stored.map(({ name, kind, unit }): [string, object[]] => [
      sanitized(name),
      of(kind === 'counter' ? 'counter' : 'gauge', kind === 'rate' ? `${name}, a second` : name, unit),
    ]),
  ]
  return Object.fromEntries(metric === undefined ? all : all.filter(([name]) => name === metric))
}
