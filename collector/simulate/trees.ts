/**
 * Call trees of programs, drawn as text and parsed once. A line is a frame, its children stand two blanks deeper:
 *
 *   main @swirl3d src/main.f90:88            module and file are the parent's where a line names none
 *     smooth_redblack_ src/mg.f90:120 = compute 34     34 parts of the group `compute` have this frame as leaf
 *     mpi_allreduce_ @libmpi.so.40                     no `=`: never a leaf
 *       opal_progress @libopen-pal.so.80 = mpi 5
 *
 *   @kernel    kernel frame, module [kernel.kallsyms]    @python    python frame of python3.11
 *   @java      java frame of the running jar             ?          a frame without a name: module+0xoffset
 *   @truncated the stack was cut before its root
 *   :: name    on a root line: the thread's name, for the whole tree below
 *
 * What a process does in a tick is a Mix: how much of its CPU time goes to each group. So the split user/system of its
 * metrics and its stacks are one and the same thing.
 */
import type { FrameKind } from '../../ingest/records.ts'

export interface TreeFrame {
  function: string
  module: string
  file: string
  line: number
  kind: FrameKind
}

interface TreeStack {
  /** Indices into Tree.frames, leaf first. */
  frames: readonly number[]
  group: number
  /** Share of its group's time, 0..1. */
  share: number
  kernel: boolean
  /** '' where it is the process's own name. */
  thread: string
}

export interface Tree {
  name: string
  groups: readonly string[]
  frames: readonly TreeFrame[]
  stacks: readonly TreeStack[]
  /** Share of each group's time that is spent in the kernel. */
  kernelShare: Float64Array
}

/** How CPU time is split over the groups of a tree; shares sum to 1. */
export interface Mix {
  tree: Tree
  shares: Float64Array
  /** Share of the time in the kernel. */
  kernel: number
}

interface Line {
  depth: number
  frame: TreeFrame
  thread: string
  group: string
  weight: number
}

const LINE =
  /^( *)(\S+(?: [^@=:\s]\S*)*?)(?: @(\S+))?(?: (\S+\.[a-zA-Z0-9]+):(\d+))?(?: :: (\S+(?: [^=\s]\S*)*))?(?: = (\w+) ([\d.]+))?$/

function kindOf(module: string): FrameKind {
  if (module === 'kernel') return 'kernel'
  if (module === 'python') return 'python'
  if (module === 'truncated') return 'truncated'
  return module === 'java' ? 'java' : 'native'
}

const MODULE_NAMES: Readonly<Record<string, string>> = {
  kernel: '[kernel.kallsyms]',
  python: 'python3.11',
  java: 'gatk-package-4.5.0.0-local.jar',
  truncated: '',
}

function parseLine(text: string, above: readonly Line[]): Line {
  const m = LINE.exec(text)
  if (!m) throw new Error(`call tree: cannot read the line "${text}"`)
  const [, blanks = '', name = '', module, file, line, thread, group, weight] = m
  const depth = blanks.length / 2
  const parent = above[depth - 1]
  if (depth > 0 && !parent) throw new Error(`call tree: "${text}" stands deeper than its parent allows`)
  const own = module === undefined ? (parent?.frame.module ?? '') : (MODULE_NAMES[module] ?? module)
  const inherited = module === undefined
  const frame: TreeFrame = {
    function: name === '?' ? `${own}+0x${(0x1000 + text.length * 0x3a7).toString(16)}` : name,
    module: own,
    file: file ?? (inherited ? (parent?.frame.file ?? '') : ''),
    line: line === undefined ? 0 : Number(line),
    kind: inherited && parent ? parent.frame.kind : kindOf(module ?? ''),
  }
  return { depth, frame, thread: thread ?? parent?.thread ?? '', group: group ?? '', weight: Number(weight ?? 0) }
}

/** Text -> tree. Throws on a line it cannot read: trees are source code, not input. */
export function parseTree(name: string, text: string): Tree {
  const frames: TreeFrame[] = []
  const known = new Map<string, number>()
  const groups: string[] = []
  const found: (TreeStack & { weight: number })[] = []
  const path: Line[] = []
  for (const raw of text.split('\n')) {
    if (raw.trim() === '') continue
    const line = parseLine(raw, path)
    path.length = line.depth
    path.push(line)
    if (line.weight === 0) continue
    if (!groups.includes(line.group)) groups.push(line.group)
    found.push({
      frames: path.map(l => internFrame(l.frame, frames, known)).reverse(),
      group: groups.indexOf(line.group),
      weight: line.weight,
      share: 0,
      kernel: line.frame.kind === 'kernel',
      thread: line.thread,
    })
  }
  const sums = groups.map((_, g) => found.reduce((sum, s) => sum + (s.group === g ? s.weight : 0), 0))
  const stacks = found.map(({ weight, ...s }) => ({ ...s, share: weight / (sums[s.group] ?? 1) }))
  const kernelShare = new Float64Array(groups.length)
  for (const s of stacks) if (s.kernel) kernelShare[s.group] = (kernelShare[s.group] ?? 0) + s.share
  return { name, groups, frames, stacks, kernelShare }
}

function internFrame(frame: TreeFrame, frames: TreeFrame[], known: Map<string, number>): number {
  const key = `${frame.function}\0${frame.module}\0${frame.file}\0${frame.line}`
  const at = known.get(key) ?? frames.push(frame) - 1
  known.set(key, at)
  return at
}

/** Puts one drawn tree under a line of another: `${graft(6, allreduce)}` indents it by 6 blanks. */
export function graft(blanks: number, text: string): string {
  return text
    .split('\n')
    .filter(l => l.trim() !== '')
    .map(l => ' '.repeat(blanks) + l)
    .join('\n')
    .trimStart()
}

/** mixOf(tree, { compute: 7, mpi: 3 }): 70 % compute, 30 % mpi. */
export function mixOf(tree: Tree, parts: Readonly<Record<string, number>>): Mix {
  const shares = new Float64Array(tree.groups.length)
  let sum = 0
  for (const [group, weight] of Object.entries(parts)) {
    const g = tree.groups.indexOf(group)
    if (g < 0) throw new Error(`call tree ${tree.name} has no group ${group}`)
    shares[g] = weight
    sum += weight
  }
  let kernel = 0
  for (let g = 0; g < shares.length; g++) {
    shares[g] = (shares[g] ?? 0) / sum
    kernel += (shares[g] ?? 0) * (tree.kernelShare[g] ?? 0)
  }
  return { tree, shares, kernel }
}
