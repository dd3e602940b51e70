/** One cell a node: for clusters whose rows would not fit. */
import { useEffect, useMemo, useRef } from 'preact/hooks'
import type { Heatmap } from '../../query/api.ts'
import { onRamp, palette, rampColour } from '../colour.ts'
import { formatValue } from '../format.ts'
import { layoutGrid } from '../layout/heatmap.ts'
import { meanIn } from '../layout/series.ts'
import { useTheme } from '../prefs.ts'
import { useStore } from '../state.ts'
import type { Span } from '../time.ts'
import { t } from '../words.ts'
import { hatch, paint, useWidth } from './canvas.tsx'
import { type HeatRow, lit } from './heat.tsx'
import { goTo, type Page } from './scope.ts'
import { showTip } from './tip.tsx'

interface Props {
  page: Page
  rows: readonly HeatRow[]
  heat: Heatmap
  window: Span
  full: (row: number) => number
}

export function Grid(props: Props) {
  const { rows, heat, full } = props
  const [box, width] = useWidth<HTMLDivElement>()
  const canvas = useRef<HTMLCanvasElement>(null)
  const theme = useTheme()
  const layout = layoutGrid(rows.length, Math.max(60, width), 380)
  const means = useMemo(() => meansOf(props), [rows, heat, props.window.from, props.window.to])
  useEffect(() => {
    if (!canvas.current || width === 0) return
    paint(canvas.current, width, layout.height, pen => {
      for (const [i, row] of rows.entries()) {
        const at = { x: (i % layout.perRow) * layout.size, y: Math.floor(i / layout.perRow) * layout.size }
        drawCell(pen, row, means[i] ?? null, full(i), { ...at, size: layout.size })
      }
    })
  }, [rows, means, full, width, layout.size, layout.height, theme])
  return (
    <div ref={box} style={{ margin: '10px 12px', position: 'relative' }} {...pointerOf(props, box, layout, means)}>
      <canvas
        ref={canvas}
        role="img"
        aria-label={t('grid.label', { count: rows.length })}
        style={{ width: `${width}px`, height: `${layout.height}px`, cursor: 'pointer' }}
      />
      <LitCell rows={rows} layout={layout} />
    </div>
  )
}

/** The frame around the chosen cell, apart from the picture: a move of the pointer redraws nothing. */
function LitCell({ rows, layout }: { rows: readonly HeatRow[]; layout: ReturnType<typeof layoutGrid> }) {
  const name = useStore(lit)
  const i = name === '' ? -1 : rows.findIndex(r => r.name === name)
  if (i < 0) return null
  const { size, perRow } = layout
  const at = { left: `${(i % perRow) * size}px`, top: `${Math.floor(i / perRow) * size}px` }
  return <div class="lit-cell" style={{ ...at, width: `${size - 1}px`, height: `${size - 1}px` }} />
}

const meansOf = ({ rows, heat, window }: Props) =>
  rows.map(r => meanIn({ from: heat.from, bucketMs: heat.bucketMs, values: r.values }, window.from, window.to))

/** A way for the pointer; rows and table are the ways for keys. */
function pointerOf(
  { rows, heat, page }: Props,
  box: { current: HTMLElement | null },
  { size, perRow }: ReturnType<typeof layoutGrid>,
  means: readonly (number | null)[],
) {
  const under = (event: MouseEvent): number => {
    const at = box.current?.getBoundingClientRect()
    const column = Math.floor((event.clientX - (at?.left ?? 0)) / size)
    const i = Math.floor((event.clientY - (at?.top ?? 0)) / size) * perRow + column
    return column < perRow && i < rows.length ? i : -1
  }
  const tell = (row: HeatRow | undefined, i: number, event: MouseEvent) => {
    lit.set(row?.name ?? '')
    const content = row && `${row.name} ${formatValue(heat.unit, means[i])} · ${row.note}`
    showTip(content ? { x: event.clientX, y: event.clientY, content } : undefined)
  }
  return {
    onPointerMove: (event: PointerEvent) => tell(rows[under(event)], under(event), event),
    onPointerLeave: (event: PointerEvent) => tell(undefined, -1, event),
    onClick: (event: MouseEvent) => {
      const row = rows[under(event)]
      showTip(undefined)
      if (row) goTo(page, { node: row.name })
    },
  }
}

interface Cell {
  x: number
  y: number
  size: number
}

function drawCell(pen: CanvasRenderingContext2D, row: HeatRow, mean: number | null, full: number, cell: Cell): void {
  const { x, y, size } = cell
  const side = size - (size > 14 ? 2 : 1)
  if (mean === null) hatch(pen, x, y, side, side)
  else {
    pen.fillStyle = rampColour(mean / full)
    pen.fillRect(x, y, side, side)
  }
  if (row.edge) {
    pen.fillStyle = row.edge
    pen.fillRect(x, y + side - 3, side, 3)
  }
  if (size >= 30) {
    pen.fillStyle = mean === null ? palette().soft : onRamp(mean / full)
    pen.textBaseline = 'middle'
    pen.textAlign = 'center'
    pen.fillText(row.name.slice(-4), x + side / 2, y + side / 2 - 1, side - 2)
    pen.textAlign = 'left'
  }
}
