/** The ten hottest nodes, and at first sight all four levels: node, job and user, process, function. */
import { useMemo } from 'preact/hooks'
import type { NodeSummary } from '../../query/api.ts'
import { jobColour, palette, rampColour } from '../colour.ts'
import { formatRatio, formatValue } from '../format.ts'
import { columns, layoutLine, type Values } from '../layout/series.ts'
import { metricName } from '../metrics.ts'
import { useTheme } from '../prefs.ts'
import { useStore } from '../state.ts'
import { t, term } from '../words.ts'
import { Picture } from './canvas.tsx'
import { fillTo, strokeRun } from './chart.tsx'
import { type HeatRow, lit } from './heat.tsx'
import type { Band } from './nodejobs.ts'
import { type HotRow, hottestRows, type NodeMapProps } from './nodemap.tsx'
import { Panel, type Sheet } from './panel.tsx'
import { linkTo, OWN_SPAN, type Page } from './scope.ts'

const SHOWN = 10

export function Hottest(props: NodeMapProps) {
  const { page, metric, heat, rows, nodes, jobOn } = props
  useTheme()
  const window = page.focus ?? heat
  const hot = useMemo(
    () => hottestRows(rows, heat, window, props.scale),
    [rows, heat, window.from, window.to, props.scale],
  )
  const of = useMemo(() => new Map(nodes?.nodes.map(n => [n.node, n])), [nodes])
  return (
    <Panel
      title={t('hottest.title', { metric: metricName(metric) })}
      name={`hottest-${metric}`}
      note={<span class="dim">{t(page.brush ? 'hottest.meanBrush' : 'hottest.mean')}</span>}
      sheet={() => hotSheet(props, hot, of, window.to)}
    >
      <ol class="hot">
        {hot.slice(0, SHOWN).map(({ row, mean, share }) => (
          <HotNode
            key={row.name}
            page={page}
            row={row}
            value={formatValue(heat.unit, mean)}
            share={Math.max(0, share)}
            node={of.get(row.name)}
            job={jobOn(row.name, window.to)}
          />
        ))}
      </ol>
    </Panel>
  )
}

function hotSheet(
  { metric, heat, jobOn }: NodeMapProps,
  hot: readonly HotRow[],
  of: ReadonlyMap<string, NodeSummary>,
  at: number,
): Sheet {
  return {
    columns: ['node', `mean ${metric} (${heat.unit})`, 'job', 'user', 'top process', 'top function'],
    rows: hot.map(({ row, mean }) => {
      const job = jobOn(row.name, at)
      const node = of.get(row.name)
      const names = [node?.topProcess?.name ?? null, node?.topFunction?.function ?? null]
      return [row.name, mean, job?.id ?? null, job?.user ?? null, ...names]
    }),
  }
}

interface HotProps {
  page: Page
  row: HeatRow
  value: string
  share: number
  node: NodeSummary | undefined
  job: Band | undefined
}

function HotNode({ page, row, value, share, node, job }: HotProps) {
  const isLit = useStore(lit) === row.name
  return (
    <li
      class={`hot-node${isLit ? ' lit' : ''}`}
      onPointerEnter={() => lit.set(row.name)}
      onPointerLeave={() => lit.set('')}
    >
      <a class="name cut" href={linkTo(page, { node: row.name })}>
        {row.name}
      </a>
      <span>
        <div class="value">{value}</div>
        <div class="meter">
          <i style={{ width: `${Math.min(1, share) * 100}%`, background: rampColour(Math.max(0.35, share)) }} />
        </div>
      </span>
      <Spark values={row.values} label={t('hottest.spark', { node: row.name })} />
      <span style={{ minWidth: 0 }}>
        <span class="who">
          {job ? (
            <a class="job-link cut" href={linkTo(page, { job: job.id }, OWN_SPAN)}>
              <i class="dot" style={{ background: jobColour(job.id) }} />
              <span class="cut">
                {job.id} {job.name}
              </span>
              <span class="dim">
                {job.user}
                {job.state !== 'running' && ` · ${term('state', job.state)}`}
              </span>
            </a>
          ) : (
            <span class="dim">{t('cluster.noJob')}</span>
          )}
        </span>
        <What page={page} node={node} />
      </span>
    </li>
  )
}

/** Its top process and top function now: the two levels below, one click away. */
function What({ page, node }: { page: Page; node: NodeSummary | undefined }) {
  if (!node) return null
  const { topProcess, topFunction } = node
  if (!topProcess && !topFunction) return <span class="what dim">{t('hottest.nothing')}</span>
  const query = topProcess ? { start: String(topProcess.start) } : {}
  return (
    <span class="what">
      {topProcess && (
        <a href={linkTo(page, { node: node.node, pid: topProcess.pid }, query)} title={topProcess.user}>
          {topProcess.name}
        </a>
      )}
      {topFunction && (
        <>
          <span class="dim">→</span>
          <a
            class="cut"
            href={linkTo(page, { node: node.node }, { stacks: 'sandwich', fn: topFunction.function })}
            title={`${topFunction.function} ${topFunction.module}`}
          >
            {topFunction.function}
          </a>
          <span class="dim">{formatRatio(topFunction.share)}</span>
        </>
      )}
    </span>
  )
}

/** A line over the window; peaks are kept. */
export function Spark({
  values,
  label,
  width = 100,
  height = 24,
}: {
  values: Values
  label: string
  width?: number
  height?: number
}) {
  return (
    <Picture
      width={width}
      height={height}
      label={label}
      deps={[values]}
      draw={pen => {
        const { max } = columns(values, width / 2)
        const top = Math.max(1e-9, ...max.map(v => v ?? 0))
        const axis = { from: 0, to: max.length, width }
        const y = (v: number) => height - 1 - (v / top) * (height - 3)
        pen.strokeStyle = palette().accent
        pen.fillStyle = palette().accent
        for (const run of layoutLine({ from: 0, bucketMs: 1, values: max }, axis, y)) {
          pen.globalAlpha = 0.16
          fillTo(pen, run, height)
          pen.globalAlpha = 1
          strokeRun(pen, run, 1.2)
        }
      }}
    />
  )
}
