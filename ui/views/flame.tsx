/** The flame graph: own canvas, only the rows that are seen, binary search under the pointer. */
import type { VNode } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { categoryShade, kindColour, moduleColour, palette } from '../colour.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import { type Boxes, depthBelow, GREY, hitBox, isMatch, pixelRow, type Tree, type View } from '../layout/flame.ts'
import { categoryName, functionName, kindName, moduleName, samplesOf, selfOf, totalOf } from '../layout/tree.ts'
import { shownTheme, useTheme } from '../prefs.ts'
import { t } from '../words.ts'
import { clipped, paint, useWidth } from './canvas.tsx'
import { showTip } from './tip.tsx'

export interface FlameProps {
  boxes: Boxes
  zoom: number
  selected: number
  matched: Uint8Array | undefined
  colourBy: ColourBy
  /** In place of colours, tips and shares that are of one profile. */
  look?: Look
  /** Root at the bottom (flame) instead of the top (icicle). */
  up: boolean
  /** Rows above this depth are not drawn: a sandwich has no root. */
  from?: number
  /** At most so high; deeper stacks scroll. */
  height: number
  label: string
  onZoom: (box: number) => void
  onSelect: (box: number) => void
}

/** How boxes look that are not of one profile. */
export interface Look {
  colour(box: number): string
  tip(box: number): VNode
  /** A box in words. */
  words(box: number): string
  /** At the right end of a wide box. */
  note(box: number): string
}

const ROW = 19

export function FlameGraph(props: FlameProps) {
  const [box, width] = useWidth<HTMLDivElement>()
  const rows = Math.max(0, depthBelow(props.boxes, props.zoom) + 1 - (props.from ?? 0))
  const total = rows * ROW
  const height = Math.min(props.height, total)
  const view: View = { zoom: props.zoom, width }
  const { canvas, setOver, setScroll } = useFlameCanvas(props, view, rows, height)
  useEffect(() => {
    if (props.up && box.current) box.current.scrollTop = total
  }, [props.up, total])
  return (
    <div
      ref={box}
      class="flame"
      role="application"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys walk the boxes, Enter zooms
      tabIndex={0}
      aria-label={`${props.label}. ${t('flame.keys')}`}
      style={{ height: `${height}px` }}
      onScroll={event => setScroll(event.currentTarget.scrollTop)}
      onKeyDown={event => flameKeys(event, props)}
      {...pointerOf(props, view, rows, setOver)}
    >
      <div style={{ height: `${total}px` }}>
        <canvas
          ref={canvas}
          style={{ width: `${width}px`, height: `${height}px` }}
          role="img"
          aria-label={props.label}
        />
      </div>
      <span class="unseen" aria-live="polite">
        {props.selected > 0 ? (props.look?.words ?? describe(props.boxes))(props.selected) : ''}
      </span>
    </div>
  )
}

function useFlameCanvas(props: FlameProps, view: View, rows: number, height: number) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const [scroll, setScroll] = useState(0)
  const [over, setOver] = useState(-1)
  useTheme()
  const colours = useColours(props)
  useEffect(() => {
    if (!canvas.current || view.width === 0) return
    const seen = { rows, scroll, height, over, colours }
    paint(canvas.current, view.width, height, pen => drawFlame(pen, props, view, seen))
  })
  return { canvas, setOver, setScroll }
}

/** Hover tells, click zooms. */
function pointerOf(props: FlameProps, view: View, rows: number, setOver: (box: number) => void) {
  const { boxes, zoom, up, from = 0 } = props
  const boxAt = (event: MouseEvent & { currentTarget: HTMLElement }): number => {
    const at = event.currentTarget.getBoundingClientRect()
    const line = Math.floor((event.clientY - at.top + event.currentTarget.scrollTop) / ROW)
    return hitBox(boxes, view, from + (up ? rows - 1 - line : line), event.clientX - at.left)
  }
  return {
    onPointerMove: (event: PointerEvent & { currentTarget: HTMLElement }) => {
      const hit = boxAt(event)
      setOver(hit)
      const content = hit < 0 ? undefined : (props.look?.tip(hit) ?? <BoxTip boxes={boxes} box={hit} zoom={zoom} />)
      showTip(content && { x: event.clientX, y: event.clientY, content })
    },
    onPointerLeave: () => {
      setOver(-1)
      showTip(undefined)
    },
    onClick: (event: MouseEvent & { currentTarget: HTMLElement }) => {
      const hit = boxAt(event)
      if (hit >= 0) props.onZoom(hit)
    },
  }
}

const describe =
  ({ tree }: Boxes) =>
  (box: number): string =>
    `${functionName(tree, box)}, ${formatRatio(totalOf(tree, box) / totalOf(tree, 0))}, ${formatSeconds(totalOf(tree, box))}`

export const COLOURS = ['module', 'category', 'kind'] as const
export type ColourBy = (typeof COLOURS)[number]

function boxColour(tree: Tree, box: number, by: ColourBy): string {
  const kind = kindName(tree, box)
  if (by === 'kind') return kindColour(kind)
  if (by === 'category' && tree.category) return categoryShade(categoryName(tree, box))
  return moduleColour(moduleName(tree, box), kind)
}

/** Colour of each box, worked out once for what it depends on. */
function useColours({ boxes, colourBy, look }: FlameProps): (box: number) => string {
  const theme = shownTheme.get()
  return useMemo(() => {
    if (look) return look.colour
    const { tree } = boxes
    const known = new Map<number, string>()
    return (box: number) => {
      const key = ((tree.module[box] ?? 0) * 16 + (tree.kind[box] ?? 0)) * 16 + (tree.category?.[box] ?? 0)
      const found = known.get(key)
      if (found !== undefined) return found
      const colour = boxColour(tree, box, colourBy)
      known.set(key, colour)
      return colour
    }
  }, [boxes, colourBy, look, theme])
}

interface Seen {
  rows: number
  scroll: number
  height: number
  over: number
  colours: (box: number) => string
}

function drawFlame(pen: CanvasRenderingContext2D, props: FlameProps, view: View, seen: Seen): void {
  const first = Math.max(0, Math.floor(seen.scroll / ROW))
  const last = Math.min(seen.rows - 1, Math.ceil((seen.scroll + seen.height) / ROW))
  pen.textBaseline = 'middle'
  for (let line = first; line <= last; line++) {
    const depth = (props.from ?? 0) + (props.up ? seen.rows - 1 - line : line)
    drawRow(pen, props, view, depth, line * ROW - seen.scroll, seen)
  }
}

function drawRow(
  pen: CanvasRenderingContext2D,
  props: FlameProps,
  view: View,
  depth: number,
  y: number,
  seen: Seen,
): void {
  const { boxes, matched } = props
  const p = palette()
  const row = pixelRow(boxes, view, depth)
  const above = depth < (boxes.depth[view.zoom] ?? 0)
  for (let k = 0; k < row.box.length; k++) {
    const box = row.box[k] ?? GREY
    const x = row.x[k] ?? 0
    const w = Math.max(0.6, (row.width[k] ?? 0) - ((row.width[k] ?? 0) > 3 ? 1 : 0))
    const match = box !== GREY && matched !== undefined && isMatch(boxes.tree, matched, box)
    const root = box === 0
    pen.globalAlpha = above ? 0.55 : matched !== undefined && !match ? 0.38 : 1
    pen.fillStyle = box === GREY || root ? p['flame-grey'] : match ? p['flame-match'] : seen.colours(box)
    pen.fillRect(x, y, w, ROW - 1)
    if (box !== GREY && w > 22) drawLabel(pen, props, box, { x, y, w }, match)
    if (box > 0 && (box === seen.over || box === props.selected)) {
      pen.globalAlpha = 1
      pen.strokeStyle = p.text
      pen.lineWidth = box === props.selected ? 1.6 : 1
      pen.strokeRect(x + 0.5, y + 0.5, Math.max(1, w - 1), ROW - 2)
    }
  }
  pen.globalAlpha = 1
}

function drawLabel(
  pen: CanvasRenderingContext2D,
  { boxes, look }: FlameProps,
  box: number,
  { x, y, w }: { x: number; y: number; w: number },
  match: boolean,
): void {
  const { tree } = boxes
  const p = palette()
  pen.fillStyle = match ? '#1c0a19' : p['flame-text']
  const share = w > 150 ? (look?.note(box) ?? formatRatio(totalOf(tree, box) / totalOf(tree, 0))) : ''
  const room = share === '' ? w - 8 : w - 20 - pen.measureText(share).width
  const middle = y + ROW / 2 - 0.5
  pen.fillText(clipped(pen, box === 0 ? t('flame.all') : functionName(tree, box), room), x + 4, middle)
  if (share === '') return
  const alpha = pen.globalAlpha
  pen.globalAlpha = alpha * 0.7
  pen.textAlign = 'right'
  pen.fillText(share, x + w - 5, middle)
  pen.textAlign = 'left'
  pen.globalAlpha = alpha
}

function BoxTip({ boxes, box, zoom }: { boxes: Boxes; box: number; zoom: number }) {
  const { tree } = boxes
  const total = totalOf(tree, box)
  return (
    <>
      <b>{box === 0 ? t('flame.all') : functionName(tree, box)}</b> <span class="dim">{moduleName(tree, box)}</span>
      <br />
      {t('flame.total')} <b>{formatRatio(total / totalOf(tree, 0))}</b> · {formatSeconds(total)}
      {zoom > 0 && (
        <span class="soft"> · {t('flame.ofView', { share: formatRatio(total / totalOf(tree, zoom)) })}</span>
      )}
      <br />
      {t('flame.self')} {formatRatio(selfOf(tree, box) / totalOf(tree, 0))} · {formatSeconds(selfOf(tree, box))}
      <span class="dim"> · {t('flame.samples', { count: Math.round(samplesOf(tree, box)).toLocaleString() })}</span>
    </>
  )
}

/** Arrows walk from box to box as they are drawn; Enter zooms, Backspace goes one caller out. */
function flameKeys(event: KeyboardEvent, props: FlameProps): void {
  const { boxes, selected, up } = props
  const { tree } = boxes
  const parent = Math.max(0, tree.parent[selected] ?? 0)
  const row = boxes.rows[boxes.depth[selected] ?? 0] ?? new Int32Array(0)
  const inRow = row.indexOf(selected)
  const child = (boxes.rows[(boxes.depth[selected] ?? 0) + 1] ?? new Int32Array(0)).find(
    b => tree.parent[b] === selected,
  )
  const moves: Record<string, number | undefined> = {
    [up ? 'ArrowDown' : 'ArrowUp']: parent,
    [up ? 'ArrowUp' : 'ArrowDown']: child,
    ArrowLeft: row[inRow - 1],
    ArrowRight: row[inRow + 1],
  }
  if (event.key in moves) {
    const to = moves[event.key]
    if (to !== undefined) props.onSelect(to)
  } else if (event.key === 'Enter') props.onZoom(selected)
  else if (event.key === 'Backspace' && props.zoom > 0) props.onZoom(Math.max(0, tree.parent[props.zoom] ?? 0))
  else return
  event.preventDefault()
  event.stopPropagation()
}
