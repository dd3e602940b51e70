/**
 * Colours, each with one meaning. One sequential ramp for load (YlGnBu: safe for the colour-blind; high is dark on light and
 * bright on dark). Blue is user code, amber the kernel, red an alert. Jobs and modules have hues that are none of these.
 */
import { hcl, interpolateRgb, interpolateYlGnBu, rgb } from 'd3'
import { shownTheme } from './prefs.ts'

const NAMES = [
  'ground',
  'panel',
  'line',
  'text',
  'soft',
  'dim',
  'accent',
  'alert',
  'hatch',
  'grid',
  'user',
  'system',
  'nice',
  'iowait',
  'irq',
  'steal',
  'free',
  'good',
  'warn',
  'band',
  'flame-text',
  'flame-grey',
  'flame-match',
  'more',
  'less',
] as const
export type Colour = (typeof NAMES)[number]
export type Palette = Readonly<Record<Colour, string>>

const held = new Map<string, Palette>()

/** The theme's colours, as the style sheet has them. */
export function palette(): Palette {
  const theme = shownTheme.get()
  const known = held.get(theme)
  if (known) return known
  const style = getComputedStyle(document.documentElement)
  const read = Object.fromEntries(NAMES.map(n => [n, style.getPropertyValue(`--${n}`).trim()])) as Palette
  held.set(theme, read)
  return read
}

/** The part of YlGnBu that is used: its palest end would glare where a whole cluster is busy. */
const PALE = 0.14
/** Below this share the ramp goes over into the ground, so that idle recedes. */
const IDLE = 0.12

/** 0..1 -> colour of the load ramp. */
export function rampColour(share: number): string {
  const s = Math.max(0, Math.min(1, share))
  const light = shownTheme.get() === 'light'
  const ramp = (x: number) => interpolateYlGnBu(light ? 0.96 * x : 1 - (1 - PALE) * x)
  return s < IDLE ? interpolateRgb(light ? '#f1f4ef' : '#151c33', ramp(IDLE))(s / IDLE) : ramp(s)
}

const tables = new Map<string, Uint32Array>()

/** The ramp as 256 RGBA words for an ImageData (little-endian). */
export function rampWords(): Uint32Array {
  const theme = shownTheme.get()
  const known = tables.get(theme)
  if (known) return known
  const words = Uint32Array.from({ length: 256 }, (_, i) => {
    const { r, g, b } = rgb(rampColour(i / 255))
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0
  })
  tables.set(theme, words)
  return words
}

/** The diverging ramp: -1 more in the other … 1 more in this one; half of it is told from all of it no more. */
export function divergingColour(change: number): string {
  const p = palette()
  const strength = Math.min(1, Math.abs(change) * 1.6)
  return change === 0 ? p['flame-grey'] : interpolateRgb(p['flame-grey'], change > 0 ? p.more : p.less)(strength)
}

/** A text colour that can be read on a colour of the ramp. */
export const onRamp = (share: number): string => (hcl(rampColour(share)).l > 58 ? '#10151d' : '#f3f6fa')

const JOB_COLOURS = [
  '#4f97d4',
  '#c98f2e',
  '#45a67a',
  '#a679c9',
  '#39a9a5',
  '#c978ad',
  '#8c9a48',
  '#b9805a',
  '#7083d1',
  '#8795a4',
]

function hash(text: string): number {
  let h = 2166136261
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619)
  return h >>> 0
}

/** Jobs that follow each other in number never share a colour. */
export function jobColour(id: string): string {
  const number = Number(/\d+/.exec(id)?.[0] ?? Number.NaN)
  const i = Number.isFinite(number) ? number : hash(id)
  return JOB_COLOURS[i % JOB_COLOURS.length] ?? '#8795a4'
}

/** The i-th of `count` like things that share a chart (cards, file systems): hues as far apart as they go, none of them red. */
export function instanceColour(i: number, count: number): string {
  const dark = shownTheme.get() === 'dark'
  return hcl(90 + (250 * i) / Math.max(1, count), 48, dark ? 68 : 52).formatHex()
}

/**
 * Modules by what they are for, so that a flame graph can be read by its colours: MPI and fabric, I/O and compression, maths,
 * threads that wait, the language runtime; everything else is the program itself, in shades of user blue.
 */
const FAMILIES: readonly (readonly [RegExp, hue: number, chroma: number])[] = [
  [/^lib(mpi|open-pal|open-rte|uc[tpsm]|fabric|psm|mlx|ibverbs|rdma|pmi|prrte|hcoll|nccl|Pstream)/i, 335, 34],
  [/^lib(hdf5|netcdf|pnetcdf|z\b|zstd|lz4|bz2|lzma|lustre|aio|uring|jpeg|png|tiff|snappy)/i, 300, 32],
  [/^lib(.*blas|mkl|lapack|fftw|cublas|cudnn|m\b|mvec|gsl|scalapack|petsc|svml|imf)/i, 190, 28],
  [/^lib(gomp|iomp|omp|pthread|tbb|cuda|hip|amdhip)/i, 120, 18],
  [/\.(py|pyc|js|mjs|java|rb|jl|R)$|^python|^libpython|^node$|^libjvm|^perl/i, 155, 32],
  [/^(lib(c|stdc\+\+|gcc_s|dl|rt|gfortran|quadmath)\b|ld-|\[vdso\])/i, 260, 6],
]

export function moduleColour(module: string, kind: string): string {
  const dark = shownTheme.get() === 'dark'
  if (kind === 'other' || kind === 'truncated' || kind === 'root') return palette()['flame-grey']
  if (kind === 'kernel') return hcl(72, dark ? 40 : 52, dark ? 46 : 80).formatHex()
  const base = module.slice(module.lastIndexOf('/') + 1)
  const step = (hash(base) % 3) - 1
  const [, hue = 254, chroma = 27] = FAMILIES.find(([is]) => is.test(base)) ?? []
  return hcl(hue + step * 7, chroma + (dark ? 2 : -2), (dark ? 41 : 80) + step * 3.5).formatHex()
}

const KIND_HUES: Record<string, number> = { native: 254, python: 155, jit: 190, java: 135, javascript: 215 }

export function kindColour(kind: string): string {
  if (['kernel', 'other', 'truncated', 'root'].includes(kind)) return moduleColour('', kind)
  const dark = shownTheme.get() === 'dark'
  return hcl(KIND_HUES[kind] ?? 300, dark ? 30 : 34, dark ? 41 : 81).formatHex()
}

/** A category as the ground of a box with text on it. */
export function categoryShade(category: string): string {
  const { h, c } = hcl(categoryColour(category))
  const dark = shownTheme.get() === 'dark'
  return hcl(h, Math.min(c || 0, dark ? 34 : 30), dark ? 42 : 80).formatHex()
}

/** What a stack was doing. compute is user blue, the kernel amber; waiting is grey. */
const CATEGORY_HUES: Record<string, number> = { mpi: 335, io: 300, memory: 150, gpu: 115, interpreter: 195 }

export function categoryColour(category: string): string {
  const p = palette()
  if (category === 'compute') return p.user
  if (category === 'kernel') return p.system
  if (category === 'wait') return p.steal
  const hue = CATEGORY_HUES[category]
  if (hue === undefined) return p.free
  const dark = shownTheme.get() === 'dark'
  return hcl(hue, dark ? 40 : 42, dark ? 58 : 68).formatHex()
}
