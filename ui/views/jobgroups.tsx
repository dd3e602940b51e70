/** What the control groups of a job counted on its nodes: all its processes, also those that no look at the process table met. */
import type { Catalogue, JobDetail, Series } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { type Colour, palette } from '../colour.ts'
import type { Values } from '../layout/series.ts'
import { useTheme } from '../prefs.ts'
import { type Key, t } from '../words.ts'
import { Chart, type Layer } from './chart.tsx'
import { Panel } from './panel.tsx'
import { bucketsFor, type Page, scopeOf } from './scope.ts'
import { type Frame, TimeStack } from './stack.tsx'

interface GroupChart {
  title: Key
  /** Added up on each node. */
  metrics: readonly string[]
  unit: string
}

const CHARTS: readonly GroupChart[] = [
  { title: 'group.cores', metrics: ['job.cpu_user', 'job.cpu_system'], unit: 'cores' },
  { title: 'panel.memory', metrics: ['job.memory_bytes'], unit: 'bytes' },
  { title: 'panel.bandwidth', metrics: ['job.memory_bandwidth_total'], unit: 'bytes/s' },
  { title: 'group.read', metrics: ['job.read_bytes'], unit: 'bytes/s' },
  { title: 'group.written', metrics: ['job.write_bytes'], unit: 'bytes/s' },
  { title: 'group.pressureCpu', metrics: ['job.pressure_cpu'], unit: 'ratio' },
  { title: 'group.pressureMemory', metrics: ['job.pressure_memory'], unit: 'ratio' },
  { title: 'group.pressureIo', metrics: ['job.pressure_io'], unit: 'ratio' },
  { title: 'group.oom', metrics: ['job.oom_kills'], unit: '1/s' },
  { title: 'panel.power', metrics: ['job.power_watts'], unit: 'W' },
]

const thereIn = (catalogue: Catalogue | undefined): string[] =>
  (catalogue?.metrics ?? []).filter(m => m.entity === 'job' && m.there !== false).map(m => `job.${m.column}`)

export function JobGroups({ page, data }: { page: Page; data: JobDetail }) {
  const id = data.job.id
  const catalogue = useAnswer(ask.catalogue(page.cluster), page.cluster)
  const there = thereIn(catalogue.data)
  const metrics = CHARTS.flatMap(c => c.metrics).filter(m => there.includes(m))
  const asked = page.span && metrics.length > 0
  const answer = useAnswer(
    asked ? ask.series(scopeOf(page, page.span, { job: id }), metrics, bucketsFor(0.5)) : undefined,
    id,
  )
  useTheme()
  const own = ownSeries(answer.data, data)
  if (!page.span || !answer.data || own.length === 0) return null
  const { from, bucketMs } = answer.data
  return (
    <Panel title={t('group.title')} name={`${id}-groups`} answers={[answer]} sheet={() => sheetOf(own, from, bucketMs)}>
      <TimeStack span={page.span} gutter={168} stepMs={bucketMs} label={t('group.title')}>
        {frame => CHARTS.map(chart => <Group key={chart.title} {...{ frame, chart, own, from, bucketMs }} />)}
      </TimeStack>
    </Panel>
  )
}

type OneSeries = Series['series'][number]

/** Rows of this job: they are called as the scheduler numbers it. */
function ownSeries(series: Series | undefined, { job, record }: JobDetail): OneSeries[] {
  const names = new Set([job.id, record.rawId])
  return (series?.series ?? []).filter(s => names.has(s.instance) && s.values.some(v => v !== null))
}

function Group(props: { frame: Frame; chart: GroupChart; own: readonly OneSeries[]; from: number; bucketMs: number }) {
  const { frame, chart, own, from, bucketMs } = props
  const nodes = perNode(own, chart.metrics)
  if (nodes.length === 0) return null
  const limit = own.find(s => s.metric === chart.metrics[0])?.full ?? null
  return (
    <Chart
      frame={frame}
      title={t(chart.title)}
      unit={chart.unit}
      from={from}
      bucketMs={bucketMs}
      layers={layersOf(nodes)}
      how="lines"
      full={chart.unit === 'ratio' ? null : limit}
      height={62}
    />
  )
}

/** The sum of the metrics on each node. */
function perNode(own: readonly OneSeries[], metrics: readonly string[]): Values[] {
  const nodes = new Map<string, (number | null)[]>()
  for (const s of own) {
    if (!metrics.includes(s.metric)) continue
    const sum = nodes.get(s.node)
    nodes.set(s.node, sum ? sum.map((v, i) => added(v, s.values[i] ?? null)) : [...s.values])
  }
  return [...nodes.values()]
}

const added = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : a + b)

/** One node as it is; of several the lowest, the median and the highest. */
function layersOf(nodes: readonly Values[]): Layer[] {
  const p = palette()
  const count = Math.max(0, ...nodes.map(n => n.length))
  const at = (share: number): Values =>
    Array.from({ length: count }, (_, i) => {
      const known = nodes.flatMap(n => n[i] ?? []).sort((a, b) => a - b)
      return known[Math.round(share * (known.length - 1))] ?? null
    })
  const layer = (name: Key, colour: Colour, values: Values, dashed = false): Layer => ({
    name: t(name),
    colour: p[colour],
    values,
    ...(dashed ? { dashed } : {}),
  })
  if (nodes.length === 1) return [layer('group.job', 'user', nodes[0] ?? [])]
  return [
    layer('group.median', 'user', at(0.5)),
    layer('group.highest', 'iowait', at(1), true),
    layer('group.lowest', 'steal', at(0), true),
  ]
}

function sheetOf(own: readonly OneSeries[], from: number, bucketMs: number) {
  const count = Math.max(0, ...own.map(s => s.values.length))
  return {
    columns: ['time', ...own.map(s => `${s.node} ${s.metric} (${s.unit})`)],
    rows: Array.from({ length: count }, (_, i) => [
      new Date(from + (i + 1) * bucketMs).toISOString(),
      ...own.map(s => s.values[i] ?? null),
    ]),
  }
}
