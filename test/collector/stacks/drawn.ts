/**
 * Stacks drawn as columns of letters, root on top, weights in ns below:
 *
 *   drawn(`main main main
 *          step step out
 *          fft  .    .
 *          3    2    5`)
 *
 * is fft < step < main for 3 ns, step < main for 2 ns, out < main for 5 ns. A name may carry its module, `MPI_Send@libmpi.so.40`,
 * or be a kernel frame, `vfs_read@[k]`.
 */

import type { StackWindow } from '../../../collector/sampler.ts'
import type { Sample } from '../../../collector/window.ts'
import type { Frame } from '../../../ingest/records.ts'

export function frame(text: string, module = 'app'): Frame {
  const [name = '', at = module] = text.split('@')
  if (name === '[truncated]') return { function: name, module: '', file: '', line: 0, kind: 'truncated' }
  if (at === '[k]') return { function: name, module: '[kernel.kallsyms]', file: '', line: 0, kind: 'kernel' }
  return { function: name, module: at, file: '', line: 0, kind: at === 'py' ? 'python' : 'native' }
}

export function drawn(picture: string, process: Partial<Sample> = {}): Sample[] {
  const rows = picture
    .trim()
    .split('\n')
    .map(row => row.trim().split(/\s+/))
  const weights = rows.pop() ?? []
  return weights.map((weight, column) => ({
    pid: 1,
    startMs: 1000,
    process: 'app',
    cgroup: '',
    thread: 'app',
    frames: rows
      .map(row => row[column] ?? '.')
      .filter(cell => cell !== '.')
      .reverse()
      .map(cell => frame(cell)),
    periodNs: Number(weight),
    count: 1,
    ...process,
  }))
}

/** The samples of a window again, one line each: `pid thread leaf<…<root periodNs count`, sorted. */
export function undrawn(window: StackWindow): string[] {
  const { samples, stacks, frames, strings, processes } = window
  return Array.from(samples.stack, (stack, at) => {
    const names = Array.from(
      stacks.frames.subarray(stacks.offsets[stack], stacks.offsets[stack + 1]),
      f => strings[frames.function[f] ?? 0],
    )
    const process = processes[samples.process[at] ?? 0]
    const thread = strings[samples.thread[at] ?? 0]
    return `${process?.pid} ${thread} ${names.join('<')} ${samples.periodNs[at]} ${samples.count[at]}`
  }).sort()
}
