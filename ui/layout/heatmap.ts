/** Rows x time -> pixels of a heat map, and back. Pure; the colours come as a table of 256 RGBA words. */
import type { Values } from './series.ts'

export interface Rows {
  /** Height of a row in pixels, whole where it can be. */
  readonly height: number
  readonly first: number
  /** One after the last row that is seen. */
  readonly last: number
  /** Height of all rows, seen or not. */
  readonly total: number
}

/** Rows fill the height, within limits; what does not fit is scrolled to. */
export function layoutRows(count: number, heightPx: number, scrollPx: number, minPx = 4, maxPx = 22): Rows {
  const fitting = count === 0 ? maxPx : heightPx / count
  const height = Math.max(minPx, Math.min(maxPx, fitting >= 8 ? Math.floor(fitting) : fitting))
  const first = Math.max(0, Math.floor(scrollPx / height))
  const last = Math.min(count, Math.ceil((scrollPx + heightPx) / height))
  return { height, first, last, total: height * count }
}

/** Row under y, or -1. */
export function rowAt(rows: Rows, count: number, y: number, scrollPx: number): number {
  const i = Math.floor((y + scrollPx) / rows.height)
  return i >= 0 && i < count ? i : -1
}

/** Rows whose name is written: every one where there is room, else every second, fifth, … */
export function labelStep(rowHeight: number, textPx: number): number {
  return [1, 2, 3, 4, 5, 8, 10, 20, 25, 50, 100, 200, 500, 1000].find(step => step * rowHeight >= textPx) ?? 2000
}

/**
 * Cells as RGBA words, one a bucket, row after row. A value is taken against what full is for its row; a missing one stays 0
 * (fully transparent), so that the hatching below it is seen.
 */
export function layoutCells(rows: readonly Values[], full: (row: number) => number, ramp: Uint32Array): Uint32Array {
  const width = Math.max(0, ...rows.map(r => r.length))
  const cells = new Uint32Array(width * rows.length)
  rows.forEach((values, r) => {
    const scale = 255 / full(r)
    for (let i = 0; i < values.length; i++) {
      const v = values[i] ?? null
      if (v === null) continue
      cells[r * width + i] = ramp[Math.max(0, Math.min(255, Math.round(v * scale)))] ?? 0
    }
  })
  return cells
}

/** A value that all but the highest `1 - share` of values stay under: what full means for a metric without a capacity. */
export function quantile(rows: readonly Values[], share: number): number {
  const all: number[] = []
  for (const row of rows) for (const v of row) if (v !== null) all.push(v)
  if (all.length === 0) return 0
  all.sort((a, b) => a - b)
  return all[Math.min(all.length - 1, Math.floor(all.length * share))] ?? 0
}

/** Cells of a grid (one a node): the largest squares that fit into a width, within limits. */
export function layoutGrid(count: number, widthPx: number, heightPx: number, minPx = 9, maxPx = 34) {
  let size = maxPx
  while (size > minPx && Math.ceil(count / Math.max(1, Math.floor(widthPx / size))) * size > heightPx) size--
  const perRow = Math.max(1, Math.floor(widthPx / size))
  return { size, perRow, height: Math.ceil(count / perRow) * size }
}
