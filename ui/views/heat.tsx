/** Rows x time as colour: nodes of the cluster, nodes of a job, cores of a node. */
import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { palette, rampColour, rampWords } from '../colour.ts'
import { formatTime, formatValue } from '../format.ts'
import { labelStep, layoutCells, layoutRows, type Rows, rowAt } from '../layout/heatmap.ts'
import { bucketAt, timeOf, type Values, xOf } from '../layout/series.ts'
import { shownTheme, useTheme } from '../prefs.ts'
import { openStore, type Store, useStore } from '../state.ts'
import { t } from '../words.ts'
import { clipped, hatch, paint } from './canvas.tsx'
import { drawGrid } from './chart.tsx'
import { type Frame, hover } from './stack.tsx'
import { showTip } from './tip.tsx'

export interface HeatRow {
  name: string
  values: Values
  /** Colour of the edge: the job. */
  edge?: string | undefined
  /** Told in the tip: the job and its user. */
  note?: string | undefined
  /** Stands out: drawn with a mark. */
  marked?: boolean
}

interface Props {
  frame: Frame
  rows: readonly HeatRow[]
  from: number
  bucketMs: number
  unit: string
  full: (row: number) => number
  height: number
  maxRow?: number
  label: string
  open?: (row: HeatRow) => void
}

/** The node under the pointer, so that the list beside the picture can show which it is. */
export const lit: Store<string> = openStore('')

export function Heat(props: Props) {
  const { frame, rows, height } = props
  const [scroll, setScroll] = useState(0)
  const [cursor, setCursor] = useState(-1)
  const layout = layoutRows(rows.length, height, scroll, 4, props.maxRow ?? 22)
  const shown = { height: Math.min(height, Math.ceil(layout.total)), width: frame.gutter + frame.axis.width }
  const canvas = useHeatCanvas(props, layout, scroll, cursor, shown)
  return (
    <div class="row tight">
      <div
        role="application"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys choose a row, Enter opens it
        tabIndex={0}
        aria-label={`${props.label}. ${t('heat.keys')}`}
        style={{
          height: `${shown.height}px`,
          overflow: layout.total > height + 1 ? 'hidden auto' : 'hidden',
          width: `${shown.width}px`,
        }}
        onScroll={event => setScroll(event.currentTarget.scrollTop)}
        onKeyDown={event => heatKeys(event, props, cursor, setCursor)}
        onBlur={() => setCursor(-1)}
        {...pointerOf(props, layout)}
      >
        <div style={{ height: `${layout.total}px` }}>
          <canvas
            ref={canvas}
            role="img"
            aria-label={props.label}
            style={canvasStyle(shown, props.open !== undefined)}
          />
        </div>
      </div>
      <span class="unseen" aria-live="polite">
        {rows[cursor] ? `${rows[cursor]?.name} ${rows[cursor]?.note ?? ''}` : ''}
      </span>
    </div>
  )
}

type Size = { width: number; height: number }

const canvasStyle = ({ width, height }: Size, opens: boolean) =>
  ({
    width: `${width}px`,
    height: `${height}px`,
    position: 'sticky',
    top: 0,
    cursor: opens ? 'pointer' : 'crosshair',
  }) as const

function useHeatCanvas(props: Props, layout: Rows, scroll: number, cursor: number, { width, height }: Size) {
  const ref = useRef<HTMLCanvasElement>(null)
  useTheme()
  const litName = useStore(lit)
  const image = useCells(props)
  useEffect(() => {
    if (ref.current)
      paint(ref.current, width, height, pen => drawHeat(pen, props, layout, image, scroll, litName, cursor))
  })
  return ref
}

/** The cells as a picture of one pixel a cell, made again only when the values or the colours change. */
function useCells({ rows, full }: Props): HTMLCanvasElement | undefined {
  const theme = shownTheme.get()
  return useMemo(() => {
    const values = rows.map(r => r.values)
    const width = Math.max(0, ...values.map(v => v.length))
    if (width === 0) return undefined
    const cells = layoutCells(values, full, rampWords())
    const canvas = document.createElement('canvas')
    canvas.width = width
    canvas.height = rows.length
    const picture = new ImageData(new Uint8ClampedArray(cells.buffer as ArrayBuffer), width, rows.length)
    canvas.getContext('2d')?.putImageData(picture, 0, 0)
    return canvas
  }, [rows, theme])
}

function drawHeat(
  pen: CanvasRenderingContext2D,
  props: Props,
  layout: Rows,
  image: HTMLCanvasElement | undefined,
  scroll: number,
  litName: string,
  cursor: number,
): void {
  const { frame, rows, from, bucketMs } = props
  const { axis, gutter } = frame
  const height = Math.min(props.height, layout.total)
  const p = palette()
  hatch(pen, gutter, 0, axis.width, height)
  if (image) {
    pen.save()
    pen.beginPath()
    pen.rect(gutter, 0, axis.width, height)
    pen.clip()
    pen.imageSmoothingEnabled = false
    const x0 = gutter + xOf(axis, from)
    const x1 = gutter + xOf(axis, from + image.width * bucketMs)
    pen.drawImage(image, x0, -scroll, x1 - x0, layout.total)
    pen.restore()
  } else drawGrid(pen, axis, height)
  pen.fillStyle = p.panel
  if (layout.height >= 6)
    for (let r = layout.first; r <= layout.last; r++)
      pen.fillRect(gutter, r * layout.height - scroll - 0.5, axis.width, 1)
  drawNames(pen, props, layout, scroll, litName, cursor)
  pen.strokeStyle = p.text
  pen.lineWidth = 1.5
  rows.forEach((row, r) => {
    if (r !== cursor && row.name !== litName) return
    pen.strokeRect(gutter + 0.5, r * layout.height - scroll, axis.width - 1, layout.height)
  })
}

function drawNames(
  pen: CanvasRenderingContext2D,
  { rows, frame }: Props,
  layout: Rows,
  scroll: number,
  litName: string,
  cursor: number,
): void {
  const p = palette()
  const step = labelStep(layout.height, 13)
  pen.textBaseline = 'middle'
  pen.textAlign = 'right'
  for (let r = layout.first; r < layout.last; r++) {
    const row = rows[r]
    if (!row) continue
    const y = r * layout.height - scroll
    if (row.edge) {
      pen.fillStyle = row.edge
      pen.fillRect(frame.gutter - 6, y, 4, Math.max(1, layout.height - (layout.height >= 6 ? 1 : 0)))
    }
    const chosen = row.name === litName || r === cursor
    if (!chosen && (r % step !== 0 || nearChosen(rows, r, litName, layout.height))) continue
    pen.fillStyle = chosen || row.marked ? p.text : p.soft
    pen.fillText(clipped(pen, row.name, frame.gutter - 16), frame.gutter - 10, Math.max(7, y + layout.height / 2 + 0.5))
  }
  pen.textAlign = 'left'
}

/** The name of the row under the pointer is always written; its neighbours make room. */
function nearChosen(rows: readonly HeatRow[], r: number, litName: string, rowHeight: number): boolean {
  if (litName === '') return false
  const reach = Math.ceil(13 / rowHeight)
  for (let k = Math.max(0, r - reach); k <= r + reach; k++)
    if (k !== r && rows[k]?.name === litName && rowHeight < 13) return true
  return false
}

function pointerOf(props: Props, layout: Rows) {
  type Over = MouseEvent & { currentTarget: HTMLElement }
  const under = (event: Over) => {
    const at = event.currentTarget.getBoundingClientRect()
    const r = rowAt(layout, props.rows.length, event.clientY - at.top, event.currentTarget.scrollTop)
    return { r, row: props.rows[r], x: Math.max(0, event.clientX - at.left - props.frame.gutter) }
  }
  return {
    onPointerMove: (event: PointerEvent & Over) => {
      const { r, row, x } = under(event)
      lit.set(row?.name ?? '')
      showTip(row ? { x: event.clientX, y: event.clientY, content: cellTip(props, row, r, x) } : undefined)
    },
    onPointerLeave: () => {
      lit.set('')
      showTip(undefined)
    },
    onClick: (event: Over) => {
      const { row } = under(event)
      if (row && props.open) {
        showTip(undefined)
        props.open(row)
      }
    },
  }
}

function cellTip(props: Props, row: HeatRow, r: number, x: number): ComponentChildren {
  const at = timeOf(props.frame.axis, x)
  const bucket = bucketAt(props.from, props.bucketMs, row.values.length, at)
  const value = row.values[bucket] ?? null
  return (
    <>
      <b>{row.name}</b> {row.note && <span class="soft">{row.note}</span>}
      <br />
      <i class="dot" style={{ background: value === null ? 'transparent' : rampColour(value / props.full(r)) }} />{' '}
      {value === null ? t('heat.nothing') : formatValue(props.unit, value)}{' '}
      <span class="dim">{formatTime(at, props.frame.axis.to - props.frame.axis.from)}</span>
    </>
  )
}

function heatKeys(event: KeyboardEvent, props: Props, cursor: number, setCursor: (row: number) => void): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
  const row = props.rows[cursor]
  if (step !== 0) {
    setCursor(Math.max(0, Math.min(props.rows.length - 1, cursor + step)))
    if (hover.get() === undefined) hover.set(props.frame.axis.to)
  } else if (event.key === 'Enter' && row && props.open) props.open(row)
  else return
  event.preventDefault()
  event.stopPropagation()
}

/** What the colours mean. */
export function RampLegend({ unit, full, note }: { unit: string; full: number; note?: string }) {
  useTheme()
  const stops = Array.from({ length: 9 }, (_, i) => rampColour(i / 8)).join(',')
  return (
    <span class="live" title={note}>
      0
      <span
        style={{ width: '84px', height: '9px', borderRadius: '2px', background: `linear-gradient(90deg,${stops})` }}
      />
      {formatValue(unit, full)}
    </span>
  )
}
