/** Every node of a job against the others, one metric at a time: a strip nodes x time, the band, and who is outside it. */
import { useMemo } from 'preact/hooks'
import type { JobNodes } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { palette } from '../colour.ts'
import { formatCount, formatRatio, formatTime, formatValue } from '../format.ts'
import { highest, layoutLine, niceMax, type Values } from '../layout/series.ts'
import { DEFAULT_METRIC, fullOf, metricName } from '../metrics.ts'
import { useTheme } from '../prefs.ts'
import { go, placeWith, useStore } from '../state.ts'
import { t } from '../words.ts'
import { Picture } from './canvas.tsx'
import { drawGrid, strokeRun } from './chart.tsx'
import { Heat, lit, RampLegend } from './heat.tsx'
import { MetricChoice } from './metricchoice.tsx'
import { Panel, type Sheet } from './panel.tsx'
import { bucketsFor, goTo, linkTo, type Page, scopeOf } from './scope.ts'
import { type Frame, Row, TimeStack } from './stack.tsx'
import { Shown } from './states.tsx'

/** Robust standard deviations from the median beyond which a node is named. */
const OUTLIER = 3.5
const NAMED_MAX = 4

type OneNode = JobNodes['nodes'][number]

export const outliersOf = (nodes: readonly OneNode[]): OneNode[] =>
  nodes
    .filter(n => n.score !== null && Math.abs(n.score) > OUTLIER)
    .sort((a, b) => Math.abs(b.score ?? 0) - Math.abs(a.score ?? 0))

export function JobNodesPanel({ page, id }: { page: Page; id: string }) {
  const metric = page.place.query.metric ?? DEFAULT_METRIC
  const catalogue = useAnswer(ask.catalogue(page.cluster), page.cluster)
  const answer = useAnswer(
    page.span && ask.jobNodes(scopeOf(page, page.span), id, metric, bucketsFor(0.5)),
    `${id} ${metric}`,
  )
  const data = answer.data
  const rows = useMemo(() => rowsOf(data), [data])
  const scale = useMemo(() => fullOf(data?.unit ?? '', undefined, rows), [data, rows])
  return (
    <Panel
      title={t('jobNodes.title', { metric: metricName(metric) })}
      name={`${id}-${metric}`}
      answers={[answer]}
      note={data && <RampLegend unit={data.unit} full={scale.shown} />}
      sheet={data && (() => jobNodesSheet(data))}
    >
      <MetricChoice page={page} catalogue={catalogue.data} metric={metric} />
      <Shown answer={answer}>
        {found => (
          <div class="columns two" style={{ gap: 0 }}>
            <Strips page={page} found={found} rows={rows} full={scale.full} />
            <NodeTable page={page} found={found} />
          </div>
        )}
      </Shown>
    </Panel>
  )
}

const jobNodesSheet = (data: JobNodes): Sheet => ({
  columns: [
    'node',
    `mean ${data.metric} (${data.unit})`,
    'distance (robust standard deviations)',
    'cores of the job',
    'top function',
  ],
  rows: data.nodes.map(n => [n.node, n.mean, n.score, n.jobCores, n.topFunction]),
})

/** Those outside the band first, then as they follow by name. */
function rowsOf(data: JobNodes | undefined) {
  const outside = new Set(outliersOf(data?.nodes ?? []).map(n => n.node))
  return [...(data?.nodes ?? [])]
    .sort(
      (a, b) =>
        Number(outside.has(b.node)) - Number(outside.has(a.node)) ||
        a.node.localeCompare(b.node, undefined, { numeric: true }),
    )
    .map(n => ({
      name: n.node,
      values: n.values,
      marked: outside.has(n.node),
      note: outside.has(n.node) ? t('jobNodes.outside') : '',
    }))
}

function Strips(props: {
  page: Page
  found: JobNodes
  rows: ReturnType<typeof rowsOf>
  full: (row: number) => number
}) {
  const { page, found, rows } = props
  if (!page.span) return null
  return (
    <TimeStack span={page.span} gutter={92} stepMs={found.bucketMs} label={metricName(found.metric)}>
      {frame => (
        <>
          <Band frame={frame} found={found} />
          <Heat
            frame={frame}
            rows={rows}
            from={found.from}
            bucketMs={found.bucketMs}
            unit={found.unit}
            full={props.full}
            height={Math.min(360, Math.max(60, rows.length * 18))}
            maxRow={20}
            label={t('heat.label', { metric: metricName(found.metric), count: rows.length })}
            open={row => goTo(page, { job: page.place.job, node: row.name })}
          />
        </>
      )}
    </TimeStack>
  )
}

const HEIGHT = 84

/** min to max as a band, the median as a line, and the lines of those outside by name. */
function Band({ frame, found }: { frame: Frame; found: JobNodes }) {
  useTheme()
  const litName = useStore(lit)
  const outside = outliersOf(found.nodes).slice(0, NAMED_MAX)
  const shown = [...outside, ...found.nodes.filter(n => n.node === litName && !outside.includes(n))]
  return (
    <Row
      frame={frame}
      gutter={
        <div class="soft" style={{ fontSize: '12px' }}>
          {t('jobNodes.band')}
          {outside.map(n => (
            <div key={n.node} style={{ color: 'var(--warn)' }}>
              {n.node}
            </div>
          ))}
        </div>
      }
    >
      <Picture
        width={frame.axis.width}
        height={HEIGHT}
        label={t('jobNodes.bandLabel', { outside: outside.map(n => n.node).join(', ') || t('jobNodes.noOutside') })}
        deps={[found, frame.axis.from, frame.axis.to, litName]}
        draw={pen => drawBand(pen, frame, found, shown)}
      />
    </Row>
  )
}

function drawBand(pen: CanvasRenderingContext2D, frame: Frame, found: JobNodes, shown: readonly OneNode[]): void {
  const { axis } = frame
  const p = palette()
  drawGrid(pen, axis, HEIGHT)
  const max = niceMax(highest([found.band.max]), found.unit === 'ratio' ? 1 : null)
  const y = (v: number) => HEIGHT - 2 - (Math.min(v, max) / max) * (HEIGHT - 6)
  const runs = (values: Values) => layoutLine({ from: found.from, bucketMs: found.bucketMs, values }, axis, y)
  const low = runs(found.band.min)
  pen.fillStyle = p.band
  runs(found.band.max).forEach((run, k) => {
    const floor = low[k]
    if (!floor) return
    pen.beginPath()
    pen.moveTo(run[0] ?? 0, run[1] ?? 0)
    for (let i = 2; i < run.length; i += 2) pen.lineTo(run[i] ?? 0, run[i + 1] ?? 0)
    for (let i = floor.length - 2; i >= 0; i -= 2) pen.lineTo(floor[i] ?? 0, floor[i + 1] ?? 0)
    pen.fill()
  })
  pen.strokeStyle = p.accent
  for (const run of runs(found.band.median)) strokeRun(pen, run, 1.6)
  pen.strokeStyle = p.warn
  for (const node of shown) for (const run of runs(node.values)) strokeRun(pen, run, 1.3)
  pen.fillStyle = p.dim
  pen.textBaseline = 'top'
  const text = formatValue(found.unit, max)
  pen.fillText(text, axis.width - pen.measureText(text).width - 3, 3)
}

function NodeTable({ page, found }: { page: Page; found: JobNodes }) {
  const sorted = useMemo(
    () => [...found.nodes].sort((a, b) => Math.abs(b.score ?? 0) - Math.abs(a.score ?? 0)),
    [found],
  )
  const only = page.place.query.nodes
  // What a node that is apart is best laid over.
  const ordinary = sorted.findLast(n => n.score !== null && (n.jobCores ?? 0) > 0)?.node
  return (
    <div
      class="scroll"
      style={{
        maxHeight: `${Math.max(220, 118 + Math.min(360, found.nodes.length * 18))}px`,
        borderLeft: '1px solid var(--line)',
      }}
    >
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{t('crumb.node')}</th>
            <th scope="col" class="num">
              {t('jobNodes.mean')}
            </th>
            <th scope="col" class="num" title={t('jobNodes.scoreWhy')}>
              {t('jobNodes.score')}
            </th>
            <th scope="col" class="num" title={t('jobNodes.coresWhy')}>
              {t('jobs.cores')}
            </th>
            <th scope="col">
              {t('jobs.function')}
              {found.functionsFrom > found.from + found.bucketMs && (
                <span class="dim" title={t('jobNodes.lastPart')}>
                  {' '}
                  {t('jobNodes.since', { time: formatTime(found.functionsFrom, found.to - found.from) })}
                </span>
              )}
            </th>
            <th scope="col">{t('jobNodes.stacks')}</th>
          </tr>
        </thead>
        <tbody>
          {sorted.map(n => (
            <NodeLine
              key={n.node}
              {...{ page, node: n, unit: found.unit, chosen: only === n.node }}
              ordinary={ordinary === n.node ? undefined : ordinary}
            />
          ))}
        </tbody>
      </table>
    </div>
  )
}

interface NodeLineProps {
  page: Page
  node: OneNode
  unit: string
  chosen: boolean
  ordinary: string | undefined
}

function NodeLine({ page, node, unit, chosen, ordinary }: NodeLineProps) {
  const outside = node.score !== null && Math.abs(node.score) > OUTLIER
  const used = node.jobCores !== null && node.cores ? node.jobCores / node.cores : null
  return (
    <tr onPointerEnter={() => lit.set(node.node)} onPointerLeave={() => lit.set('')}>
      <td class="fit">
        <a class="main" href={linkTo(page, { job: page.place.job, node: node.node })}>
          {node.node}
        </a>
      </td>
      <td class="num">{formatValue(unit, node.mean)}</td>
      <td class="num" style={outside ? { color: 'var(--warn)' } : {}}>
        {node.score === null ? '–' : `${node.score > 0 ? '+' : '−'}${Math.min(99, Math.abs(node.score)).toFixed(1)}`}
      </td>
      <td class="num soft" title={used === null ? '' : formatRatio(used)}>
        {formatCount(node.jobCores)}
        {node.cores !== null && <span class="dim"> / {node.cores}</span>}
      </td>
      <td>
        <span class="cut soft" title={node.topFunction ?? ''}>
          {node.topFunction}
        </span>
      </td>
      <td class="fit">
        <button
          type="button"
          class="button plain"
          aria-pressed={chosen}
          onClick={() => go(placeWith(page.place, { nodes: chosen ? undefined : node.node }))}
        >
          {t('jobNodes.only')}
        </button>
        {outside && ordinary !== undefined && (
          <a
            class="button plain"
            title={t('compare.ordinaryWhy')}
            href={linkTo(page, { job: page.place.job, node: node.node }, { against: `node:${ordinary}` })}
          >
            {t('compare.ordinary', { node: ordinary })}
          </a>
        )}
      </td>
    </tr>
  )
}
