import { describe, expect, it } from 'vitest'
import { type Arrival, COLUMNS, ENTITIES, type Entity, METRICS, type Metric } from '../../ingest/metrics.ts'
import { ENTITY_NAMES } from '../../ingest/tables/points.ts'

const nameOf = (metric: Metric) => `${metric.entity}.${metric.column}`

describe('the catalogue', () => {
  it('has each column once, under a name that SQL takes', () => {
    const names = METRICS.map(nameOf)
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
    expect(METRICS.filter(m => !/^[a-z][a-z0-9_]*$/.test(m.column) || SQL_WORDS.has(m.column)).map(nameOf)).toEqual([])
  })

  it('says what each metric is, and where it is from', () => {
    expect(METRICS.filter(m => m.meaning.length < 4 || m.source.length < 4 || !(m.scale > 0)).map(nameOf)).toEqual([])
  })

  it('leads to columns that are there: what full is, and what the node has of its parts', () => {
    const missing = METRICS.flatMap(({ entity, column, full, onNode }) => [
      ...(typeof full === 'string' && !has(entity, full) ? [`${entity}.${column} full ${full}`] : []),
      ...(onNode && !has('node', onNode.column) ? [`${entity}.${column} onNode ${onNode.column}`] : []),
    ])
    expect(missing).toEqual([])
  })

  it('has for every column of the node a way to come there', () => {
    const made = new Set(METRICS.flatMap(m => m.onNode?.column ?? []))
    const derived = ['power_parts_watts']
    const dead = COLUMNS.node.filter(m => m.arrives.length === 0 && !made.has(m.column) && !derived.includes(m.column))
    expect(dead.map(nameOf)).toEqual([])
  })

  it('keeps a metric in the unit of what it is a part of', () => {
    const wrong = METRICS.filter(
      m => m.onNode && COLUMNS.node.find(n => n.column === m.onNode?.column)?.unit !== m.unit,
    )
    expect(wrong.map(nameOf)).toEqual([])
  })

  it('is the page ingest/CATALOGUE.md', async () => {
    const stale = 'ingest/CATALOGUE.md is not what the catalogue says: npx vitest run test/ingest/catalogue.test.ts -u'
    await expect(page(), stale).toMatchFileSnapshot('../../ingest/CATALOGUE.md')
  })
})

const has = (entity: Entity, column: string) => COLUMNS[entity].some(m => m.column === column)

/** Words that end a list of columns in CREATE TABLE. */
const SQL_WORDS = new Set([
  'index',
  'constraint',
  'projection',
  'primary',
  'foreign',
  'time',
  'cluster',
  'node',
  'instance',
])

const INSTANCES: Readonly<Record<Entity, string>> = {
  node: 'the node itself',
  core: 'number of the logical CPU',
  disk: 'name of the block device',
  interface: 'name of the interface; of a port of the fast network card/port: `mlx5_0/1`',
  filesystem: 'where it is mounted',
  socket: 'number of the CPU package',
  cache: 'number of the last level cache, as the kernel numbers them',
  numa: 'number of the NUMA node',
  gpu: 'PCI address; of a MIG instance address/instance',
  job: 'number of the job',
}

const words = (arrival: Arrival) =>
  `${arrival.name}${arrival.attributes ? `{${Object.entries(arrival.attributes).map(([k, v]) => `${k}=${v}`)}}` : ''}`
const cell = (text: string) => text.replaceAll('|', '\\|')
const fullOf = ({ full }: Metric) => (full === undefined ? '' : String(full))

/** How it gets there: a sum that is turned into a rate, a gauge as it is, made from the parts of the node. */
function kindOf(metric: Metric): string {
  const parts = METRICS.find(m => metric.entity === 'node' && m.onNode?.column === metric.column)
  if (metric.arrives.length > 0) return metric.kind
  return parts ? `${parts.onNode?.how} of ${nameOf(parts)}` : 'made from others'
}

function page(): string {
  const sections = ENTITY_NAMES.map(entity => {
    const attribute = ENTITIES[entity].instance[0]
    const rows = COLUMNS[entity].map(m =>
      [`\`${m.column}\``, m.unit, kindOf(m), fullOf(m), m.meaning, m.arrives.map(words).join(' or '), m.source].map(
        cell,
      ),
    )
    const of = attribute === undefined ? '' : `, OTLP attribute \`${attribute}\``
    return `## ${entity}

Instance: ${INSTANCES[entity]}${of}. ${rows.length} metrics.

| column | unit | kind | full | meaning | OTLP | source |
|---|---|---|---|---|---|---|
${rows.map(row => `| ${row.join(' | ')} |`).join('\n')}
`
  })
  return `# The metric catalogue

Made from ingest/metrics.ts by \`npx vitest run test/ingest/catalogue.test.ts -u\`: do not edit.

One row an instance and tick is stored in \`ENTITY_points\`, a column a metric; five minutes and hours in \`ENTITY_points_5m\` and
\`_1h\`. The API calls a metric of the node by its column (\`cpu_busy\`), another one \`entity.column\` (\`gpu.power_watts\`).
A rate is what was counted in an interval, divided by it; it travels as a delta sum. \`full\` is the value or the column that
means full. A metric that cannot be read is absent, never 0; \`jobsight doctor\` says which are read on a machine, which are
not, and what to do.

${sections.join('\n')}`
}
