/** Whether stacks are what a program's call graph allows. */
import { expect } from 'vitest'
import type { Sampled, SampledStack } from './sampling.ts'

/** How programs are built: without a frame pointer. */
export const PLAIN = ['-fomit-frame-pointer']

/** Caller -> callees in the program. '*' among the callees: it may also be seen in libraries or in the kernel below. */
export type CallGraph = Record<string, readonly string[]>

/** Drawn: `main > work > f60`. */
export function drawn(stack: SampledStack): string {
  return stack.frames.map(f => (f.kind === 'kernel' ? `[${f.function}]` : f.function)).join(' > ')
}

/**
 * Whether every neighbour of a stack is a real call: from a root that the C library calls, along the graph, and from
 * then on only in code that is not the program's.
 */
export function isRight(stack: SampledStack, graph: CallGraph, roots: readonly string[]): boolean {
  const names = stack.frames.map(frame => frame.function)
  const from = names.findIndex(name => roots.includes(name))
  if (from < 0 || stack.frames.some(frame => frame.kind === 'truncated')) return false
  // Above main nothing but the C library's start, below one of its functions whatever libraries do, until a callback.
  if (stack.frames.slice(0, from).some(f => Object.hasOwn(graph, f.function))) return false
  let caller = names[from] ?? ''
  let outside = false
  for (const frame of stack.frames.slice(from + 1)) {
    const own = Object.hasOwn(graph, frame.function)
    if (own) {
      if (!graph[caller]?.includes(frame.function)) return false
      caller = frame.function
    } else if (!graph[caller]?.includes('*') && frame.kind !== 'kernel') return false
    outside = !own
  }
  return outside || (graph[caller]?.includes('leaf') ?? false) || graph[caller] !== undefined
}

export interface Judged {
  samples: number
  right: number
  /** Of the wrong ones, for the message of a failed test. */
  wrong: string[]
  leaves: Record<string, number>
}

/** Judges the stacks of a process name. Start-up in the dynamic linker, before main, is not part of a graph. */
export function judge(stacks: readonly SampledStack[], graph: CallGraph, roots: readonly string[] = ['main']): Judged {
  const judged: Judged = { samples: 0, right: 0, wrong: [], leaves: {} }
  for (const stack of stacks) {
    if (isStartUp(stack)) continue
    judged.samples += stack.count
    if (isRight(stack, graph, roots)) judged.right += stack.count
    else judged.wrong.push(`${stack.count} x ${drawn(stack)}`)
    const leaf = stack.frames.findLast(frame => Object.hasOwn(graph, frame.function))?.function ?? '(none)'
    judged.leaves[leaf] = (judged.leaves[leaf] ?? 0) + stack.count
  }
  return judged
}

/** exec, ld.so before _start of the program, and exit. */
function isStartUp(stack: SampledStack): boolean {
  const user = stack.frames.filter(frame => frame.kind !== 'kernel')
  if (user.length === 0) return true
  const truncated = user.some(frame => frame.kind === 'truncated')
  return !truncated && user.every(frame => /^(ld-linux|ld-|ld\.so|\[vdso)/.test(frame.module))
}

/** Shares of a whole, in percent. */
export function shares(counts: Record<string, number>): Record<string, number> {
  const total = Object.values(counts).reduce((a, b) => a + b, 0)
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, (100 * count) / total]))
}

/** Of flat.c. */
export const FLAT: CallGraph = {
  main: ['work', 'running'],
  work: ['f60', 'f30', 'f10'],
  f60: [],
  f30: [],
  f10: [],
  running: ['*'],
}

export function named(sampled: Sampled, name: string): SampledStack[] {
  return sampled.stacks.filter(stack => stack.process === name)
}

export function expectRight(stacks: readonly SampledStack[], graph: CallGraph, roots = ['main'], least = 0.95) {
  const judged = judge(stacks, graph, roots)
  expect(judged.samples).toBeGreaterThan(200)
  expect(judged.right / judged.samples, judged.wrong.slice(0, 10).join('\n')).toBeGreaterThanOrEqual(least)
  return judged
}
