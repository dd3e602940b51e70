/** The cluster: is anything wrong, where is it hot, whose job is that, and what does it run. */
import { useMemo } from 'preact/hooks'
import type { Catalogue, Heatmap, JobBands, NodeSummary, Nodes } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { jobColour } from '../colour.ts'
import { formatBytes, formatRatio, formatTime, formatWhole } from '../format.ts'
import { meanIn } from '../layout/series.ts'
import { DEFAULT_METRIC, fullOf, metricName } from '../metrics.ts'
import { go, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { Grid } from './grid.tsx'
import { Heat, type HeatRow, RampLegend } from './heat.tsx'
import { Hottest } from './hottest.tsx'
import { JobLanes } from './joblanes.tsx'
import { MetricChoice } from './metricchoice.tsx'
import { Panel, type Sheet } from './panel.tsx'
import { bucketsFor, type ClusterFacts, goTo, type Page, scopeOf } from './scope.ts'
import { TimeStack } from './stack.tsx'
import { Stacks } from './stacks.tsx'
import { Empty, Shown } from './states.tsx'
import { TopFunctions } from './topfunctions.tsx'

const GRID_OVER = 200
/** Cells that one answer may hold: fewer columns where there are many nodes. */
const CELLS_MAX = 200_000
const heatBuckets = (nodes: number) =>
  Math.max(12, Math.min(bucketsFor(0.55), Math.floor(CELLS_MAX / Math.max(1, nodes))))

export const ORDERS = ['hottest', 'name', 'job'] as const

export function ClusterView({ page }: { page: Page }) {
  const { place, span } = page
  const metric = place.query.metric ?? DEFAULT_METRIC
  const order = ORDERS.find(o => o === place.query.order) ?? 'hottest'
  const catalogue = useAnswer(ask.catalogue(page.cluster), page.cluster)
  const nodes = useAnswer(ask.nodes(page.cluster), page.cluster, page.tick)
  const heat = useAnswer(
    span && ask.heatmap(scopeOf(page, span), metric, order, heatBuckets(page.facts.nodes)),
    `${page.cluster} ${metric}`,
  )
  const bands = useAnswer(span && ask.bands(scopeOf(page, span)), page.cluster)
  const rows = useMemo(
    () => heatRows(heat.data, nodes.data, bands.data, page.focus?.to ?? 0),
    [heat.data, nodes.data, bands.data],
  )
  const common = {
    page,
    metric,
    order,
    catalogue: catalogue.data,
    nodes: nodes.data,
    heat: heat.data,
    bands: bands.data,
    rows,
  }
  if (page.facts.nodes === 0) return <NoNodes />
  return (
    <>
      <Facts facts={page.facts} nodes={nodes.data} />
      <div class="columns two">
        <Shown answer={heat}>{() => <HeatMap {...common} answers={[heat, nodes, bands]} />}</Shown>
        <div class="column">
          <Shown answer={nodes}>{() => <Hottest {...common} />}</Shown>
          <TopFunctions page={page} />
        </div>
      </div>
      <div style={{ height: '12px' }} />
      <Stacks scope={scopeOf(page, page.focus)} title={t('stacks.cluster')} name={page.cluster} height={420} />
    </>
  )
}

const NoNodes = () => (
  <Empty title={t('cluster.noNodes')}>
    <p>{t('app.noClusterHow')}</p>
    <pre class="mono">{`jobsight collect --to ${location.origin}`}</pre>
  </Empty>
)

export interface Common {
  page: Page
  metric: string
  order: (typeof ORDERS)[number]
  catalogue: Catalogue | undefined
  nodes: Nodes | undefined
  heat: Heatmap | undefined
  bands: JobBands | undefined
  rows: HeatRow[]
}

/** The job that a node runs at a moment; the last one before it where it runs none. */
export function jobOn(bands: JobBands | undefined, node: string, ms: number): JobBands['jobs'][number] | undefined {
  const on = (bands?.jobs ?? []).filter(j => j.nodes.includes(node) && j.from <= ms)
  return on.sort((a, b) => b.to - a.to || b.from - a.from)[0]
}

function heatRows(
  heat: Heatmap | undefined,
  nodes: Nodes | undefined,
  bands: JobBands | undefined,
  at: number,
): HeatRow[] {
  if (!heat) return []
  const states = new Map(nodes?.nodes.map(n => [n.node, n.state]))
  return heat.nodes.map((name, i) => {
    const job = jobOn(bands, name, at)
    const silent = states.get(name) === 'silent' ? ` · ${t('state.silent')}` : ''
    return {
      name,
      values: heat.rows[i] ?? [],
      edge: job && jobColour(job.id),
      note: (job ? `${job.id} ${job.name} · ${job.user}` : t('cluster.noJob')) + silent,
    }
  })
}

function HeatMap(props: Common & { answers: Parameters<typeof Panel>[0]['answers'] }) {
  const { page, metric, heat, rows, catalogue, nodes } = props
  const byName = useMemo(() => new Map<string, NodeSummary>(nodes?.nodes.map(n => [n.node, n])), [nodes])
  const of = catalogue?.metrics.find(m => m.entity === 'node' && m.column === metric)
  const scale = useMemo(() => fullOf(of, rows, byName), [of, rows, byName])
  const asGrid = page.place.query.map === 'grid' || (page.place.query.map !== 'rows' && rows.length > GRID_OVER)
  const span = page.span ?? { from: 0, to: 1 }
  const focus = page.focus ?? span
  return (
    <Panel
      title={metricName(metric)}
      name={`${page.cluster}-${metric}`}
      answers={props.answers ?? []}
      head={<Orders page={page} order={props.order} asGrid={asGrid} />}
      note={
        <RampLegend
          unit={heat?.unit ?? ''}
          full={scale.shown}
          note={t(scale.shared ? 'heat.fullShared' : 'heat.fullOwn')}
        />
      }
      sheet={heat && (() => heatSheet(heat, of?.unit ?? ''))}
    >
      <MetricChoice page={page} catalogue={catalogue} metric={metric} />
      {asGrid && (
        <Grid
          rows={rows}
          from={heat?.from ?? 0}
          bucketMs={heat?.bucketMs ?? 1}
          window={focus}
          full={scale.full}
          unit={heat?.unit ?? ''}
          page={page}
        />
      )}
      <TimeStack span={span} gutter={74} stepMs={heat?.bucketMs ?? 10_000} label={metricName(metric)}>
        {frame => (
          <>
            {!asGrid && (
              <Heat
                frame={frame}
                rows={rows}
                from={heat?.from ?? 0}
                bucketMs={heat?.bucketMs ?? 1}
                unit={heat?.unit ?? ''}
                full={scale.full}
                height={Math.max(240, Math.min(560, window.innerHeight - 400))}
                label={t('heat.label', { metric: metricName(metric), count: rows.length })}
                open={row => goTo(page, { node: row.name })}
              />
            )}
            <JobLanes frame={frame} bands={props.bands} page={page} />
          </>
        )}
      </TimeStack>
    </Panel>
  )
}

function Orders({ page, order, asGrid }: { page: Page; order: string; asGrid: boolean }) {
  const choose = (label: string, on: boolean, query: Record<string, string | undefined>) => (
    <button type="button" class="button" aria-pressed={on} onClick={() => go(placeWith(page.place, query))}>
      {label}
    </button>
  )
  return (
    <span class="choices">
      {ORDERS.map(o =>
        choose(t(`order.${o}`), !asGrid && o === order, { order: o === 'hottest' ? undefined : o, map: 'rows' }),
      )}
      {choose(t('order.grid'), asGrid, { map: asGrid ? 'rows' : 'grid' })}
    </span>
  )
}

function heatSheet(heat: Heatmap, unit: string): Sheet {
  const count = heat.rows[0]?.length ?? 0
  const times = Array.from({ length: count }, (_, i) => new Date(heat.from + (i + 1) * heat.bucketMs).toISOString())
  return {
    columns: ['node', `mean (${unit})`, ...times],
    rows: heat.nodes.map((node, i) => [node, heat.mean[i] ?? null, ...(heat.rows[i] ?? [])]),
  }
}

/** Mean of each row in the window, most first. */
export function hottestRows(rows: readonly HeatRow[], heat: Heatmap | undefined, window: { from: number; to: number }) {
  return rows
    .map(row => ({
      row,
      mean: heat
        ? meanIn({ from: heat.from, bucketMs: heat.bucketMs, values: row.values }, window.from, window.to)
        : null,
    }))
    .sort((a, b) => (b.mean ?? -1) - (a.mean ?? -1))
}

function Facts({ facts, nodes }: { facts: ClusterFacts; nodes: Nodes | undefined }) {
  const silent = facts.nodes - facts.nodesUp
  const down = nodes?.nodes.filter(n => /down|drain|fail/i.test(n.schedulerState ?? '')).length ?? 0
  return (
    <div class="facts">
      <Fact
        name={t('fact.nodes')}
        value={formatWhole(facts.nodesUp)}
        of={t('fact.up', { count: formatWhole(facts.nodes) })}
      >
        {silent > 0 && <small style={{ color: 'var(--alert)' }}>{t('fact.silent', { count: silent })}</small>}
        {down > 0 && <small style={{ color: 'var(--warn)' }}> {t('fact.down', { count: down })}</small>}
      </Fact>
      <Fact
        name={t('fact.busyNodes')}
        value={formatWhole(facts.nodesBusy)}
        of={t('fact.idle', { count: formatWhole(facts.nodesUp - facts.nodesBusy) })}
      />
      <Fact
        name={t('fact.cores')}
        value={formatWhole(facts.coresBusy)}
        of={t('fact.ofCores', { count: formatWhole(facts.cores) })}
        share={facts.coresBusy / facts.cores}
        mark={facts.coresAllocated / facts.cores}
        title={t('fact.coresWhy', {
          allocated: formatWhole(facts.coresAllocated),
          share: formatRatio(facts.coresBusy / Math.max(1, facts.coresAllocated)),
        })}
      />
      {facts.coresAllocated > 0 && (
        <Fact
          name={t('fact.allocated')}
          value={formatWhole(facts.coresAllocated)}
          of={formatRatio(facts.coresAllocated / facts.cores)}
        />
      )}
      <Fact
        name={t('fact.memory')}
        value={formatBytes(facts.memoryUsedBytes)}
        of={t('fact.ofMemory', { bytes: formatBytes(facts.memoryBytes) })}
        share={facts.memoryUsedBytes / facts.memoryBytes}
      />
      <Fact name={t('fact.running')} value={formatWhole(facts.jobsRunning)} of={t('fact.jobs')} />
      <Fact name={t('fact.queued')} value={formatWhole(facts.jobsQueued)} of={t('fact.jobs')} />
      <Fact name={t('fact.lastSeen')} value={facts.lastSeen === null ? '–' : formatTime(facts.lastSeen, 1)} of="" />
    </div>
  )
}

interface FactProps {
  name: string
  value: string
  of: string
  share?: number
  /** A mark on the meter: what was handed out. */
  mark?: number
  title?: string
  children?: preact.ComponentChildren
}

export function Fact({ name, value, of, share, mark, title, children }: FactProps) {
  const percent = (x: number) => `${Math.max(0, Math.min(1, Number.isFinite(x) ? x : 0)) * 100}%`
  return (
    <div class="fact" title={title}>
      <div class="name">{name}</div>
      <div class="value">
        {value} <small>{of}</small> {children}
      </div>
      {share !== undefined && (
        <div class="meter">
          <i style={{ width: percent(share) }} />
          {mark !== undefined && mark > 0 && <i class="mark" style={{ left: percent(mark) }} />}
        </div>
      )}
    </div>
  )
}
