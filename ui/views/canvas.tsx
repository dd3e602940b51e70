import { useEffect, useRef, useState } from 'preact/hooks'
import { palette } from '../colour.ts'
import { shownTheme, useTheme } from '../prefs.ts'

export type Draw = (pen: CanvasRenderingContext2D, width: number, height: number) => void

/** Width of an element, as it changes. 0 before the first layout. */
export function useWidth<E extends HTMLElement>(): [{ current: E | null }, number] {
  const ref = useRef<E>(null)
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const element = ref.current
    if (!element) return
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  return [ref, width]
}

/** Sharp on every screen: as many pixels as the device has, drawn in CSS pixels. */
export function paint(canvas: HTMLCanvasElement, width: number, height: number, draw: Draw): void {
  const ratio = window.devicePixelRatio || 1
  const pixels = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))] as const
  if (canvas.width !== pixels[0]) canvas.width = pixels[0]
  if (canvas.height !== pixels[1]) canvas.height = pixels[1]
  const pen = canvas.getContext('2d')
  if (!pen) return
  pen.setTransform(ratio, 0, 0, ratio, 0, 0)
  pen.clearRect(0, 0, width, height)
  pen.font = font()
  draw(pen, width, height)
}

let fontText = ''
export function font(): string {
  if (fontText === '') fontText = `12px ${getComputedStyle(document.documentElement).fontFamily}`
  return fontText
}

/** A picture. `label` is what a screen reader says; the same numbers are in the panel's table. */
export function Picture(props: { width: number; height: number; label: string; draw: Draw; deps: readonly unknown[] }) {
  const ref = useRef<HTMLCanvasElement>(null)
  useTheme()
  const { width, height, draw } = props
  useEffect(() => {
    if (ref.current && width > 0) paint(ref.current, width, height, draw)
  }, [width, height, shownTheme.get(), ...props.deps])
  return <canvas ref={ref} style={{ width: `${width}px`, height: `${height}px` }} role="img" aria-label={props.label} />
}

let tile: { theme: string; pattern: CanvasPattern | null } = { theme: '', pattern: null }

/** The hatching of "nothing is known here". */
export function hatch(pen: CanvasRenderingContext2D, x: number, y: number, width: number, height: number): void {
  if (tile.theme !== shownTheme.get()) tile = { theme: shownTheme.get(), pattern: makeTile(pen) }
  if (tile.pattern === null) return
  pen.fillStyle = tile.pattern
  pen.fillRect(x, y, width, height)
}

function makeTile(pen: CanvasRenderingContext2D): CanvasPattern | null {
  const canvas = document.createElement('canvas')
  canvas.width = 8
  canvas.height = 8
  const c = canvas.getContext('2d')
  if (!c) return null
  c.strokeStyle = palette().hatch
  c.lineWidth = 1.4
  c.beginPath()
  for (const x of [-8, 0, 8]) {
    c.moveTo(x - 1, 9)
    c.lineTo(x + 9, -1)
  }
  c.stroke()
  return pen.createPattern(canvas, 'repeat')
}

/** Text cut to a width, with an ellipsis; '' where not even that fits. */
export function clipped(pen: CanvasRenderingContext2D, text: string, width: number): string {
  if (width < 16) return ''
  if (pen.measureText(text).width <= width) return text
  let low = 0
  let high = text.length
  while (low < high) {
    const mid = (low + high + 1) >> 1
    if (pen.measureText(`${text.slice(0, mid)}…`).width <= width) low = mid
    else high = mid - 1
  }
  return low < 2 ? '' : `${text.slice(0, low)}…`
}
