/** A node: what it is, whose jobs it runs, how full it is on one time axis; the brush asks what ran then. */
import { group } from 'd3'
import { useEffect, useMemo } from 'preact/hooks'
import type { AlertHistory, Catalogue, JobBands, NodeDetail, Series } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { instanceColour, palette } from '../colour.ts'
import { firstKnown } from '../layout/series.ts'
import { useTheme } from '../prefs.ts'
import { t } from '../words.ts'
import { AlertLanes } from './alertlanes.tsx'
import { Chart, type Layer } from './chart.tsx'
import { Cores } from './cores.tsx'
import { JobLanes } from './joblanes.tsx'
import { NodeIdentity } from './nodeidentity.tsx'
import {
  chosenPanels,
  hasValues,
  instanceName,
  instancesOf,
  metricsOf,
  NODE_PANELS,
  type NodePanel,
  type OneSeries,
  partName,
  plainPanel,
  reasonOf,
  titleOf,
} from './nodepanels.ts'
import { type Overlay, OverlayChoice, useOverlay } from './overlay.tsx'
import { Panel, type Sheet } from './panel.tsx'
import { PanelChoice } from './panelchoice.tsx'
import { ProcessTable } from './processes.tsx'
import { bucketsFor, type Page, scopeOf, tellBeginning } from './scope.ts'
import { type Frame, Row, TimeStack } from './stack.tsx'
import { Stacks } from './stacks.tsx'
import { Failed } from './states.tsx'

export function NodeView({ page }: { page: Page }) {
  const { node, job } = page.place
  const detail = useAnswer(ask.node(scopeOf(page, page.span), node), node, page.tick)
  const who = { node, job: job || undefined }
  if (detail.error && !detail.data) return <Failed answer={detail} />
  return (
    <>
      {detail.data && <NodeIdentity page={page} detail={detail.data} />}
      <div class="columns two">
        <Saturation page={page} detail={detail.data} />
        <div class="column">
          <ProcessTable page={page} scope={scopeOf(page, page.focus, who)} showNode={false} limit={15} />
          <Stacks scope={scopeOf(page, page.calm, who)} title={t('stacks.window')} name={node} height={380} narrow />
        </div>
      </div>
    </>
  )
}

/** The small multiples on one axis. */
function Saturation({ page, detail }: { page: Page; detail: NodeDetail | undefined }) {
  const { node, query } = page.place
  const catalogue = useAnswer(ask.catalogue(page.cluster), page.cluster)
  const panels = useMemo(() => panelsFor(query.panels, catalogue.data), [query.panels, catalogue.data])
  const scope = scopeOf(page, page.span, { node })
  const metrics = metricsOf(panels, catalogue.data)
  const asked = page.span && metrics.length > 0 && (catalogue.data || catalogue.error)
  const series = useAnswer(
    asked ? ask.series(scope, metrics, bucketsFor(0.5)) : undefined,
    `${node} ${panels.map(p => p.id)}`,
  )
  const bands = useAnswer(page.span && ask.bands(scope), node)
  const alerts = useAnswer(page.span && ask.alertHistory(scope, 60), node)
  const measured = series.data
  useEffect(() => {
    if (!measured) return
    const known = firstKnown(
      measured.from,
      measured.bucketMs,
      measured.series.map(s => s.values),
    )
    tellBeginning(page.cluster, node, known)
  }, [measured])
  return (
    <Panel
      title={t('node.charts')}
      name={`${node}-series`}
      answers={[series, bands]}
      head={
        <>
          <PanelChoice page={page} catalogue={catalogue.data} />
          <OverlayChoice page={page} bands={bands.data} />
        </>
      }
      sheet={measured && (() => seriesSheet(measured))}
    >
      <Charts page={page} detail={detail} panels={panels} series={measured} bands={bands.data} alerts={alerts.data} />
    </Panel>
  )
}

function panelsFor(text: string | undefined, catalogue: Catalogue | undefined): NodePanel[] {
  const { ids, extra } = chosenPanels(text)
  const more = extra.flatMap(column => {
    const metric = catalogue?.metrics.find(m => m.entity === 'node' && m.column === column)
    return metric ? [plainPanel(column, metric.unit)] : []
  })
  return [...NODE_PANELS.filter(p => ids.has(p.id)), ...more]
}

interface ChartsProps {
  page: Page
  detail: NodeDetail | undefined
  panels: readonly NodePanel[]
  series: Series | undefined
  bands: JobBands | undefined
  alerts: AlertHistory | undefined
}

function Charts(props: ChartsProps) {
  const { page, panels, series, bands, detail, alerts } = props
  const overlay = useOverlay(page)
  if (!page.span) return null
  const isAbsent = (panel: NodePanel) => panel.device === true && !hasValues(panel, series?.series ?? [])
  const shown = panels.filter(panel => !isAbsent(panel))
  const absent = panels.filter(isAbsent)
  const showCores = chosenPanels(page.place.query.panels).ids.has('cores')
  return (
    <TimeStack span={page.span} gutter={168} stepMs={series?.bucketMs ?? 10_000} label={t('node.charts')}>
      {frame => (
        <>
          <JobLanes frame={frame} bands={bands} page={page} />
          <AlertLanes frame={frame} history={alerts} page={page} />
          {shown.map(panel => (
            <PanelCharts key={panel.id} {...props} panel={panel} frame={frame} overlay={overlay} />
          ))}
          {showCores && <Cores frame={frame} page={page} />}
          {series && <Absent frame={frame} detail={detail} panels={absent} />}
        </>
      )}
    </TimeStack>
  )
}

/** What this node does not have, each with its reason: so that nobody looks for it, or knows what to do to have it. */
function Absent({ frame, detail, panels }: Pick<ChartsProps, 'detail' | 'panels'> & { frame: Frame }) {
  if (panels.length === 0) return null
  const byReason = group(panels, panel => reasonOf(detail, panel.sources))
  return (
    <Row frame={frame} gutter={<h3>{t('node.absent')}</h3>}>
      <dl class="absent">
        {[...byReason].map(([reason, of]) => (
          <div key={reason}>
            <dt>{of.map(titleOf).join(', ')}</dt>
            <dd>{reason}</dd>
          </div>
        ))}
      </dl>
    </Row>
  )
}

/** One chart, or one for each disk or interface. */
function PanelCharts(props: ChartsProps & { panel: NodePanel; frame: Frame; overlay: Overlay | undefined }) {
  const { panel, series, frame, bands, detail, overlay } = props
  const compared = overlay?.of(panel.id)
  useTheme()
  const all = series?.series ?? []
  const instances = panel.instances === 'each' ? instancesOf(panel, all) : []
  const shown = instances.length > 0 ? instances : ['']
  return (
    <>
      {shown.map(instance => {
        const title = instance === '' ? titleOf(panel) : `${titleOf(panel)} ${instance}`
        const { layers, full } = panel.instances === 'overlaid' ? overlaid(panel, all) : layersOf(panel, all, instance)
        return (
          <Chart
            key={instance}
            frame={frame}
            title={title}
            unit={panel.unit}
            from={series?.from ?? 0}
            bucketMs={series?.bucketMs ?? 1}
            layers={layers}
            how={panel.how}
            full={panel.id === 'network' ? linkBytes(detail, instance) : full}
            {...(panel.floor === undefined ? {} : { floor: panel.floor })}
            height={Math.max(panel.height, headPx(title) + LEGEND_PX * layers.length)}
            overlay={overlay && compared && { name: overlay.name, sampled: compared }}
            asking={series === undefined}
            why={series && reasonOf(detail, panel.sources)}
            bands={bands?.jobs ?? []}
          />
        )
      })}
    </>
  )
}

/** Height of a line of a chart's legend, and of its title, which may take two. */
const LEGEND_PX = 15
const headPx = (title: string) => (title.length > 19 ? 42 : 26)
/** Lines of one chart that can be told apart. */
const OVERLAID_MAX = 16

/** Every instance as a line: a card that idles beside busy ones is seen. */
function overlaid(panel: NodePanel, all: readonly OneSeries[]): { layers: Layer[]; full: number | null } {
  const of = (metric: string) =>
    all
      .filter(s => s.metric === metric && s.values.some(v => v !== null))
      .sort((a, b) => (a.instance < b.instance ? -1 : 1))
  const found = panel.parts.map(part => of(part.metric)).find(series => series.length > 0) ?? []
  const layers = found.slice(0, OVERLAID_MAX).map(
    (s, i): Layer => ({
      name: instanceName(s.instance),
      colour: instanceColour(i, Math.min(found.length, OVERLAID_MAX)),
      values: s.values,
      plain: true,
    }),
  )
  return { layers, full: Math.max(0, ...found.map(s => s.full ?? 0)) || null }
}

/** What an interface can carry, in bytes a second. */
function linkBytes(detail: NodeDetail | undefined, name: string): number | null {
  const bits = detail?.record?.interfaces?.find(i => i.name === name)?.bitsPerSecond
  return bits === undefined || bits <= 0 ? null : bits / 8
}

/** Layers that have values; one that is zero all the time is not worth a line of the legend, unless it is the first. */
function layersOf(
  panel: NodePanel,
  all: readonly OneSeries[],
  instance: string,
): { layers: Layer[]; full: number | null } {
  const p = palette()
  let full: number | null = null
  const layers = panel.parts.flatMap((part, i): Layer[] => {
    const found = all.find(s => s.metric === part.metric && s.instance === instance)
    if (found === undefined) return []
    if (i === 0) full = found.full
    if (i > 1 && !part.ratio && !found.values.some(v => v !== null && v > 0)) return []
    return [
      {
        name: partName(part),
        colour: p[part.colour],
        values: found.values,
        ...(part.down ? { down: true } : {}),
        ...(part.dashed ? { dashed: true } : {}),
        ...(part.ratio ? { ratio: true } : {}),
      },
    ]
  })
  return { layers, full }
}

function seriesSheet(series: Series): Sheet {
  const times = (series.series[0]?.values ?? []).map((_, i) =>
    new Date(series.from + (i + 1) * series.bucketMs).toISOString(),
  )
  return {
    columns: ['time', ...series.series.map(s => `${s.metric}${s.instance === '' ? '' : ` ${s.instance}`} (${s.unit})`)],
    rows: times.map((time, i) => [time, ...series.series.map(s => s.values[i] ?? null)]),
  }
}
