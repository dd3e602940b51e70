/** One cell a node: for clusters whose rows would not fit. */
import { useEffect, useRef } from 'preact/hooks'
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
  from: number
  bucketMs: number
  window: Span
  full: (row: number) => number
  unit: string
}

export function Grid(props: Props) {
  const { rows, from, bucketMs, window, full, unit } = props
  const [box, width] = useWidth<HTMLDivElement>()
  const canvas = useRef<HTMLCanvasElement>(null)
  useTheme()
  const litName = useStore(lit)
  const { size, perRow, height } = layoutGrid(rows.length, Math.max(60, width), 380)
  const means = rows.map(r => meanIn({ from, bucketMs, values: r.values }, window.from, window.to))
  useEffect(() => {
    if (!canvas.current || width === 0) return
    paint(canvas.current, width, height, pen =>
      rows.forEach((row, i) => {
        const [x, y] = [(i % perRow) * size, Math.floor(i / perRow) * size]
        drawCell(pen, row, means[i] ?? null, full(i), { x, y, size, chosen: row.name === litName })
      }),
    )
  })
  const under = (event: MouseEvent): number => {
    const at = box.current?.getBoundingClientRect()
    const column = Math.floor((event.clientX - (at?.left ?? 0)) / size)
    const i = Math.floor((event.clientY - (at?.top ?? 0)) / size) * perRow + column
    return column < perRow && i < rows.length ? i : -1
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a way for the pointer; rows and table are the ways for keys
    // biome-ignore lint/a11y/useKeyWithClickEvents: as above
    <div
      ref={box}
      style={{ margin: '10px 12px' }}
      onPointerMove={event => {
        const i = under(event)
        const row = rows[i]
        lit.set(row?.name ?? '')
        showTip(
          row
            ? {
                x: event.clientX,
                y: event.clientY,
                content: `${row.name} ${formatValue(unit, means[i])} · ${row.note}`,
              }
            : undefined,
        )
      }}
      onPointerLeave={() => {
        lit.set('')
        showTip(undefined)
      }}
      onClick={event => {
        const row = rows[under(event)]
        showTip(undefined)
        if (row) goTo(props.page, { node: row.name })
      }}
    >
      <canvas
        ref={canvas}
        role="img"
        aria-label={t('grid.label', { count: rows.length })}
        style={{ width: `${width}px`, height: `${height}px`, cursor: 'pointer' }}
      />
    </div>
  )
}

interface Cell {
  x: number
  y: number
  size: number
  chosen: boolean
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
  if (!cell.chosen) return
  pen.strokeStyle = palette().text
  pen.lineWidth = 2
  pen.strokeRect(x + 1, y + 1, side - 2, side - 2)
}
