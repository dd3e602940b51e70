/** One small multiple: layers over time with their values at the crosshair in the gutter. */
import { jobColour, palette } from '../colour.ts'
import { formatTime, formatValue } from '../format.ts'
import {
  type Axis,
  absent,
  highest,
  layoutLine,
  meanIn,
  niceMax,
  type Run,
  type Sampled,
  stack,
  timeTicks,
  type Values,
  valueAt,
  xOf,
} from '../layout/series.ts'
import { place, useStore } from '../state.ts'
import { brushOf } from '../time.ts'
import { hatch, Picture } from './canvas.tsx'
import { type Frame, hover, Row } from './stack.tsx'

export interface Layer {
  name: string
  colour: string
  values: Values
  /** Below the middle line, growing downwards: bytes out, bytes written. */
  down?: boolean
  dashed?: boolean
  /** A ratio drawn on its own scale 0..1 over the whole height: how busy the device was. */
  ratio?: boolean
  /** A line without a ground under it: one of many that cross. */
  plain?: boolean
}

export interface ChartProps {
  frame: Frame
  title: string
  unit: string
  from: number
  bucketMs: number
  layers: readonly Layer[]
  how: 'stack' | 'lines' | 'mirror'
  full: number | null
  height: number
  /** The scale ends at least here, so that the noise of an idle device stays small. */
  floor?: number
  /** Not answered yet: nothing is known, not even that nothing is there. */
  asking?: boolean
  /** Why nothing is there, where nothing is. */
  why?: string | undefined
  /** Something else to compare with, dashed. */
  overlay?: { name: string; sampled: Sampled } | undefined
  bands?: readonly { id: string; from: number; to: number }[]
}

export function Chart(props: ChartProps) {
  const { frame, layers, height } = props
  const nothing = layers.every(l => l.values.every(v => v === null))
  return (
    <Row frame={frame} gutter={<Legend {...props} />}>
      <Picture
        width={frame.axis.width}
        height={height}
        label={describe(props)}
        draw={pen => drawChart(pen, props)}
        deps={[frame.axis.from, frame.axis.to, layers, props.bands, props.overlay?.sampled, props.asking]}
      />
      {nothing && props.why !== undefined && !props.asking && (
        <div class="why">
          <span>{props.why}</span>
        </div>
      )}
    </Row>
  )
}

/** The values under the crosshair, else the mean of the brush, else the newest. */
function Legend({ title, unit, layers, from, bucketMs, overlay }: ChartProps) {
  const at = useStore(hover)
  const brush = brushOf(useStore(place))
  const read = (s: Sampled): number | null => {
    if (at !== undefined) return valueAt(s, at)
    if (brush) return meanIn(s, brush.from, brush.to)
    return s.values.findLast(v => v !== null) ?? null
  }
  return (
    <>
      <h3>{title}</h3>
      <div class="legend">
        {layers.map(l => (
          <>
            <i class="dot" style={{ background: l.colour, opacity: l.dashed ? 0.6 : 1 }} />
            <span class="cut">{l.name}</span>
            <span class="num">{formatValue(l.ratio ? 'ratio' : unit, read({ from, bucketMs, values: l.values }))}</span>
          </>
        ))}
        {overlay && (
          <>
            <i class="dot dashed" />
            <span class="cut">{overlay.name}</span>
            <span class="num">{formatValue(unit, read(overlay.sampled))}</span>
          </>
        )}
      </div>
    </>
  )
}

function describe({ title, unit, layers, from, bucketMs }: ChartProps): string {
  const newest = layers.map(
    l => `${l.name} ${formatValue(l.ratio ? 'ratio' : unit, l.values.findLast(v => v !== null) ?? null)}`,
  )
  const count = layers[0]?.values.length ?? 0
  return `${title}, ${formatTime(from)} – ${formatTime(from + count * bucketMs)}: ${newest.join(', ')}`
}

export function drawGrid(pen: CanvasRenderingContext2D, axis: Axis, height: number): void {
  pen.fillStyle = palette().grid
  for (const { x } of timeTicks(axis).ticks) pen.fillRect(Math.round(x), 0, 1, height)
}

function drawBands(pen: CanvasRenderingContext2D, { frame, bands, height }: ChartProps): void {
  for (const band of bands ?? []) {
    const x0 = Math.max(0, xOf(frame.axis, band.from))
    const x1 = Math.min(frame.axis.width, xOf(frame.axis, band.to))
    if (x1 <= x0) continue
    pen.fillStyle = jobColour(band.id)
    pen.globalAlpha = 0.09
    pen.fillRect(x0, 0, x1 - x0, height)
    pen.globalAlpha = 0.5
    if (x0 > 0) pen.fillRect(Math.round(x0), 0, 1, height)
    if (x1 < frame.axis.width) pen.fillRect(Math.round(x1) - 1, 0, 1, height)
    pen.globalAlpha = 1
  }
}

function drawChart(pen: CanvasRenderingContext2D, props: ChartProps): void {
  const { frame, layers, height, from, bucketMs } = props
  const { axis } = frame
  drawGrid(pen, axis, height)
  drawBands(pen, props)
  if (props.asking) return
  const all = layers.map(l => l.values)
  const end = from + Math.max(0, ...all.map(v => v.length)) * bucketMs
  const gaps = [...absent(from, bucketMs, all), { from: axis.from, to: from }, { from: end, to: axis.to }]
  for (const gap of gaps) {
    const x0 = Math.max(0, xOf(axis, gap.from))
    const x1 = Math.min(axis.width, xOf(axis, gap.to))
    if (x1 - x0 > 1) hatch(pen, x0, 0, x1 - x0, height)
  }
  const edges = props.how === 'stack' ? stack(all) : all
  const scaled = props.how === 'stack' ? edges : layers.filter(l => !l.ratio).map(l => l.values)
  const max = niceMax(Math.max(props.floor ?? 0, highest(scaled)), props.full, props.unit)
  if (props.how === 'mirror') drawMirror(pen, props, max)
  else if (props.how === 'stack') drawStack(pen, props, edges, max)
  else drawLines(pen, props, max)
  if (props.overlay) drawOverlay(pen, props, props.overlay.sampled, max)
  drawScale(pen, props, max)
}

function drawOverlay(
  pen: CanvasRenderingContext2D,
  { height, frame }: ChartProps,
  sampled: Sampled,
  max: number,
): void {
  const y = (v: number) => height - 1 - (Math.min(v, max) / max) * (height - top - 1)
  pen.strokeStyle = palette().text
  pen.setLineDash([5, 3])
  for (const run of layoutLine(sampled, frame.axis, y)) strokeRun(pen, run, 1.3)
  pen.setLineDash([])
}

const top = 3

function drawStack(pen: CanvasRenderingContext2D, props: ChartProps, edges: readonly Values[], max: number): void {
  const { height, frame, layers, from, bucketMs } = props
  const y = (v: number) => height - (Math.min(v, max) / max) * (height - top)
  for (let k = edges.length - 1; k >= 0; k--) {
    pen.fillStyle = layers[k]?.colour ?? ''
    for (const run of layoutLine({ from, bucketMs, values: edges[k] ?? [] }, frame.axis, y)) fillTo(pen, run, height)
  }
}

function drawLines(pen: CanvasRenderingContext2D, props: ChartProps, max: number): void {
  const { height, frame, layers, from, bucketMs } = props
  const y = (v: number) => height - 1 - (Math.min(v, max) / max) * (height - top - 1)
  for (const layer of [...layers].reverse()) {
    if (layer.ratio) continue
    const runs = layoutLine({ from, bucketMs, values: layer.values }, frame.axis, y)
    pen.strokeStyle = layer.colour
    pen.fillStyle = layer.colour
    pen.setLineDash(layer.dashed ? [4, 3] : [])
    for (const run of runs) {
      if (!layer.dashed && !layer.plain) {
        pen.globalAlpha = 0.13
        fillTo(pen, run, height)
        pen.globalAlpha = 1
      }
      strokeRun(pen, run)
    }
  }
  pen.setLineDash([])
  for (const layer of layers) if (layer.ratio) drawRatio(pen, props, layer)
}

function drawMirror(pen: CanvasRenderingContext2D, props: ChartProps, max: number): void {
  const { height, frame, layers, from, bucketMs } = props
  const middle = Math.round(height / 2)
  for (const layer of layers) {
    if (layer.ratio) continue
    const sign = layer.down ? 1 : -1
    const y = (v: number) => middle + sign * (Math.min(v, max) / max) * (middle - top)
    pen.fillStyle = layer.colour
    pen.strokeStyle = layer.colour
    for (const run of layoutLine({ from, bucketMs, values: layer.values }, frame.axis, y)) {
      pen.globalAlpha = layer.dashed ? 0.25 : 0.55
      fillTo(pen, run, middle)
      pen.globalAlpha = 1
      strokeRun(pen, run)
    }
  }
  pen.fillStyle = palette().line
  pen.fillRect(0, middle, frame.axis.width, 1)
  for (const layer of layers) if (layer.ratio) drawRatio(pen, props, layer)
}

function drawRatio(pen: CanvasRenderingContext2D, { height, frame, from, bucketMs }: ChartProps, layer: Layer): void {
  const y = (v: number) => height - 1 - Math.min(1, v) * (height - top - 1)
  pen.strokeStyle = layer.colour
  for (const run of layoutLine({ from, bucketMs, values: layer.values }, frame.axis, y)) strokeRun(pen, run, 1.2)
}

export function fillTo(pen: CanvasRenderingContext2D, run: Run, base: number): void {
  pen.beginPath()
  pen.moveTo(run[0] ?? 0, base)
  for (let i = 0; i < run.length; i += 2) pen.lineTo(run[i] ?? 0, run[i + 1] ?? 0)
  pen.lineTo(run[run.length - 2] ?? 0, base)
  pen.fill()
}

export function strokeRun(pen: CanvasRenderingContext2D, run: Run, width = 1.4): void {
  pen.lineWidth = width
  pen.lineJoin = 'round'
  pen.beginPath()
  for (let i = 0; i < run.length; i += 2) pen.lineTo(run[i] ?? 0, run[i + 1] ?? 0)
  pen.stroke()
}

/** Where the scale ends, told once, in the corner. */
function drawScale(pen: CanvasRenderingContext2D, { unit, how, height, frame }: ChartProps, max: number): void {
  const text = formatValue(unit, max)
  const { width } = pen.measureText(text)
  const p = palette()
  pen.globalAlpha = 0.72
  pen.fillStyle = p.panel
  pen.fillRect(frame.axis.width - width - 6, 1, width + 6, 15)
  pen.globalAlpha = 1
  pen.fillStyle = p.dim
  pen.textBaseline = 'top'
  pen.fillText(text, frame.axis.width - width - 3, 3)
  if (how !== 'mirror') return
  pen.textBaseline = 'bottom'
  pen.fillText(text, frame.axis.width - width - 3, height - 1)
}
