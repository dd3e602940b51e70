/** One time axis for many panels: one crosshair, one brush. What stands under it is told by the panels themselves. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { palette } from '../colour.ts'
import { formatSpan, formatTick, formatTime } from '../format.ts'
import { type Axis, timeOf, timeTicks, xOf } from '../layout/series.ts'
import { go, openStore, place, placeWith, type Store, useStore } from '../state.ts'
import { brushOf, brushQuery, fixedQuery, type Span } from '../time.ts'
import { t } from '../words.ts'
import { type Draw, Picture, useWidth } from './canvas.tsx'

/** The moment under the crosshair; one for the page. */
export const hover: Store<number | undefined> = openStore<number | undefined>(undefined)

export interface Frame {
  readonly axis: Axis
  readonly gutter: number
}

interface Props {
  span: Span
  gutter: number
  /** A step of the crosshair by the arrow keys. */
  stepMs: number
  label: string
  children: (frame: Frame) => ComponentChildren
}

const RIGHT = 10
const DRAG_PX = 4

export function setBrush(span: Span | undefined): void {
  go(placeWith(place.get(), brushQuery(span)))
}
export function zoomTo(span: Span): void {
  go(placeWith(place.get(), fixedQuery(span)))
}

export function TimeStack(props: Props) {
  const [ref, width] = useWidth<HTMLDivElement>()
  const { span, gutter } = props
  const axis: Axis = { from: span.from, to: span.to, width: Math.max(0, width - gutter - RIGHT) }
  const pointer = usePointer(ref, axis, gutter)
  const brush = brushOf(useStore(place))
  const shown = pointer.drag ?? brush
  return (
    // biome-ignore lint/a11y/useSemanticElements: a group of pictures with a crosshair, not a form's fieldset
    <div
      ref={ref}
      class="stack"
      role="group"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys move the crosshair, Shift brushes
      tabIndex={0}
      aria-label={`${props.label}. ${t('stack.keys')}`}
      onKeyDown={event => stackKeys(event, axis, props.stepMs)}
      {...pointer.handlers}
    >
      {axis.width > 40 && (
        <>
          <Ticks axis={axis} gutter={gutter} />
          {props.children({ axis, gutter })}
          {shown && <Brush span={shown} axis={axis} gutter={gutter} done={pointer.drag === undefined} />}
          <Crosshair axis={axis} gutter={gutter} />
        </>
      )}
    </div>
  )
}

/** Hover, drag, and no click after a drag. */
function usePointer(ref: { current: HTMLElement | null }, axis: Axis, gutter: number) {
  const [drag, setDrag] = useState<Span>()
  const start = useRef<{ x: number; id: number } | undefined>(undefined)
  const dragged = useRef(false)
  const xOfEvent = (event: PointerEvent) => event.clientX - (ref.current?.getBoundingClientRect().left ?? 0) - gutter
  const clamp = (x: number) => Math.max(0, Math.min(axis.width, x))
  const handlers = {
    onPointerDown: (event: PointerEvent) => {
      const x = xOfEvent(event)
      dragged.current = false
      const control = event.target instanceof Element && event.target.closest('button, a, input, select')
      if (event.button === 0 && x >= 0 && x <= axis.width && !control) start.current = { x, id: event.pointerId }
    },
    onPointerMove: (event: PointerEvent) => {
      const x = xOfEvent(event)
      hover.set(x >= -2 && x <= axis.width + 2 ? timeOf(axis, clamp(x)) : undefined)
      const from = start.current
      if (from === undefined || (Math.abs(x - from.x) < DRAG_PX && drag === undefined)) return
      if (drag === undefined) ref.current?.setPointerCapture(from.id)
      dragged.current = true
      const [a, b] = [clamp(from.x), clamp(x)].sort((p, q) => p - q)
      setDrag({ from: timeOf(axis, a ?? 0), to: timeOf(axis, b ?? 0) })
    },
    onPointerUp: () => {
      start.current = undefined
      if (drag && drag.to - drag.from >= 1000) setBrush(drag)
      setDrag(undefined)
    },
    onPointerLeave: () => {
      if (start.current === undefined) hover.set(undefined)
    },
    onClickCapture: (event: MouseEvent) => {
      if (!dragged.current) return
      event.stopPropagation()
      event.preventDefault()
      dragged.current = false
    },
  }
  return { drag, handlers }
}

function stackKeys(event: KeyboardEvent, axis: Axis, stepMs: number): void {
  const brush = brushOf(place.get())
  const step = event.key === 'ArrowRight' ? stepMs : event.key === 'ArrowLeft' ? -stepMs : 0
  if (step !== 0 && !event.altKey && !event.metaKey && !event.ctrlKey) {
    const at = hover.get() ?? (step > 0 ? axis.from : axis.to)
    const next = Math.max(axis.from, Math.min(axis.to, at + step))
    if (event.shiftKey) {
      const anchor =
        brush === undefined ? at : Math.abs(brush.from - at) < Math.abs(brush.to - at) ? brush.to : brush.from
      go(placeWith(place.get(), brushQuery({ from: Math.min(anchor, next), to: Math.max(anchor, next) })), 'replace')
    }
    hover.set(next)
    event.preventDefault()
  } else if (event.key === 'Enter' && brush && event.target === event.currentTarget) zoomTo(brush)
  else if (event.key === 'Escape' && brush) setBrush(undefined)
}

function Ticks({ axis, gutter }: Frame) {
  const draw: Draw = pen => {
    const { ticks, stepMs } = timeTicks(axis)
    pen.fillStyle = palette().dim
    pen.textBaseline = 'middle'
    for (const { at, x } of ticks) {
      const text = formatTick(at, stepMs)
      const half = pen.measureText(text).width / 2
      pen.fillText(text, Math.max(0, Math.min(axis.width - 2 * half, x - half)), 11)
    }
  }
  return (
    <div class="row">
      <div class="gutter dim" style={{ width: `${gutter}px`, fontSize: '12px', paddingTop: '2px' }}>
        {gutter > 100 ? formatSpan(axis.to - axis.from) : ''}
      </div>
      <Picture width={axis.width} height={22} label={t('stack.axis')} draw={draw} deps={[axis.from, axis.to]} />
    </div>
  )
}

/** Moved by hand, without rendering: it follows the pointer. */
function Crosshair({ axis, gutter }: Frame) {
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const show = () => {
      const line = ref.current
      const at = hover.get()
      if (!line) return
      const inside = at !== undefined && at >= axis.from && at <= axis.to
      line.style.visibility = inside ? 'visible' : 'hidden'
      if (!inside) return
      const x = xOf(axis, at)
      line.style.transform = `translateX(${gutter + x}px)`
      line.classList.toggle('late', x > axis.width - 90)
      if (line.firstElementChild) line.firstElementChild.textContent = formatTime(at, axis.to - axis.from)
    }
    show()
    return hover.subscribe(show)
  }, [axis.from, axis.to, axis.width, gutter])
  return (
    <div class="crosshair" ref={ref} style={{ left: 0 }}>
      <span />
    </div>
  )
}

function Brush({ span, axis, gutter, done }: Frame & { span: Span; done: boolean }) {
  const left = Math.max(0, xOf(axis, span.from))
  const right = Math.min(axis.width, xOf(axis, span.to))
  if (right < 0 || left > axis.width) return null
  return (
    <div class="brush" style={{ left: `${gutter + left}px`, width: `${Math.max(1, right - left)}px` }}>
      {done && (
        <span class="acts">
          <button type="button" class="button" title={t('brush.zoom')} onClick={() => zoomTo(span)}>
            ⤢ {formatSpan(Math.round((span.to - span.from) / 1000) * 1000)}
          </button>
          <button
            type="button"
            class="button"
            title={t('brush.clear')}
            aria-label={t('brush.clear')}
            onClick={() => setBrush(undefined)}
          >
            ✕
          </button>
        </span>
      )}
    </div>
  )
}

/** A row of a stack: its name in the gutter, its plot beside it. */
export function Row(props: { frame: Frame; tight?: boolean; gutter: ComponentChildren; children: ComponentChildren }) {
  const { axis, gutter } = props.frame
  return (
    <div class={`row${props.tight ? ' tight' : ''}`}>
      <div class="gutter" style={{ width: `${gutter}px` }}>
        {props.gutter}
      </div>
      <div class="plot" style={{ width: `${axis.width}px` }}>
        {props.children}
      </div>
    </div>
  )
}
