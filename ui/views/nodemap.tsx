/** The heart of the cluster page: a metric of every node over time, or as a grid, with the jobs on the same axis. */
import type { Catalogue, Heatmap, JobBands, Nodes } from '../../query/api.ts'
import type { Answer } from '../client.ts'
import { jobColour } from '../colour.ts'
import { meanIn } from '../layout/series.ts'
import { type Fulls, metricName } from '../metrics.ts'
import { go, placeWith } from '../state.ts'
import type { Span } from '../time.ts'
import { t } from '../words.ts'
import { Grid } from './grid.tsx'
import { Heat, type HeatRow, RampLegend } from './heat.tsx'
import { JobLanes } from './joblanes.tsx'
import { MetricChoice } from './metricchoice.tsx'
import type { JobOn } from './nodejobs.ts'
import { Panel, type Sheet } from './panel.tsx'
import { goTo, type Page } from './scope.ts'
import { TimeStack } from './stack.tsx'

/** Above so many nodes a grid of cells is shown first. */
const GRID_OVER = 200
export const ORDERS = ['hottest', 'name', 'job'] as const
export type Order = (typeof ORDERS)[number]

export interface NodeMapProps {
  page: Page
  metric: string
  order: Order
  catalogue: Catalogue | undefined
  nodes: Nodes | undefined
  heat: Heatmap
  bands: JobBands | undefined
  jobOn: JobOn
  rows: HeatRow[]
  scale: Fulls
}

export function NodeMap(props: NodeMapProps & { answers: readonly Answer<unknown>[] }) {
  const { page, metric, heat, rows, scale } = props
  const asGrid = page.place.query.map === 'grid' || (page.place.query.map !== 'rows' && rows.length > GRID_OVER)
  const span = page.span ?? heat
  const note = t(scale.shared ? 'heat.fullShared' : 'heat.fullOwn')
  return (
    <Panel
      title={metricName(metric)}
      name={`${page.cluster}-${metric}`}
      answers={props.answers}
      head={<Orders page={page} order={props.order} asGrid={asGrid} />}
      note={<RampLegend unit={heat.unit} full={scale.shown} note={note} />}
      sheet={() => heatSheet(heat)}
    >
      <MetricChoice page={page} catalogue={props.catalogue} metric={metric} />
      {asGrid && <Grid page={page} rows={rows} heat={heat} window={page.focus ?? span} full={scale.full} />}
      <TimeStack span={span} gutter={74} stepMs={heat.bucketMs} label={metricName(metric)}>
        {frame => (
          <>
            {!asGrid && (
              <Heat
                frame={frame}
                rows={rows}
                from={heat.from}
                bucketMs={heat.bucketMs}
                unit={heat.unit}
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
    <button key={label} type="button" class="button" aria-pressed={on} onClick={() => go(placeWith(page.place, query))}>
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

export function heatRows(heat: Heatmap | undefined, nodes: Nodes | undefined, jobOn: JobOn, at: number): HeatRow[] {
  if (!heat) return []
  const states = new Map(nodes?.nodes.map(n => [n.node, n.state]))
  return heat.nodes.map((name, i) => {
    const job = jobOn(name, at)
    const silent = states.get(name) === 'silent' ? ` · ${t('state.silent')}` : ''
    return {
      name,
      values: heat.rows[i] ?? [],
      edge: job && jobColour(job.id),
      note: (job ? `${job.id} ${job.name} · ${job.user}` : t('cluster.noJob')) + silent,
    }
  })
}

export interface HotRow {
  row: HeatRow
  mean: number | null
  /** Of what full means for it. */
  share: number
}

/** Each row in the window, the fullest first. */
export function hottestRows(rows: readonly HeatRow[], heat: Heatmap, window: Span, scale: Fulls): HotRow[] {
  const { from, bucketMs } = heat
  return rows
    .map((row, i) => {
      const mean = meanIn({ from, bucketMs, values: row.values }, window.from, window.to)
      return { row, mean, share: mean === null ? -1 : mean / scale.full(i) }
    })
    .sort((a, b) => b.share - a.share)
}

function heatSheet(heat: Heatmap): Sheet {
  const count = heat.rows[0]?.length ?? 0
  const times = Array.from({ length: count }, (_, i) => new Date(heat.from + (i + 1) * heat.bucketMs).toISOString())
  return {
    columns: ['node', `mean (${heat.unit})`, ...times],
    rows: heat.nodes.map((node, i) => [node, heat.mean[i] ?? null, ...(heat.rows[i] ?? [])]),
  }
}
