/** What a reader of a profile file gives, and what it is told. One file of this folder reads one format. */
import type { Sample } from '../window.ts'

export interface ProfileSource {
  /** File name without folder, or 'stdin'. */
  name: string
  /** Wall clock of its beginning, where someone said so. */
  startMs: number | undefined
  /** When it was written, or now: its end at the latest. */
  endMs: number
  /** Samples a second that a count stands for, where the file does not say. */
  hz: number
  /** The last piece of it, where it can be read before the rest. */
  tail?: () => Promise<Uint8Array>
}

/** Samples with one meaning of their values and, where the format has them, times. */
export interface ProfilePart {
  /** 'cpu': values are ns; else the file's own name of what it counts. */
  event: string
  sample: Sample
  /** Wall clock; undefined: somewhere between start and end. */
  timeMs: number | undefined
}

/** Known once all has been read. */
export interface ProfileSummary {
  format: string
  startMs: number
  endMs: number
  /** What could not be used: records dropped when recording, samples of other events, lines that are no samples. */
  lost: number
  otherEvents: number
  unknownLines: number
}

/** Yields as it reads, so that a file of any size is imported in bounded memory. */
export type ReadProfile = (
  chunks: AsyncIterable<Uint8Array>,
  source: ProfileSource,
) => AsyncGenerator<ProfilePart[], ProfileSummary>

/** A file that is not what it says: the message tells what to do. */
export class ProfileError extends Error {
  readonly code = 'PROFILE'
}

/**
 * A process for samples that name none: beyond the kernel's largest pid (2^22), the same one for the same file name.
 * https://man7.org/linux/man-pages/man5/proc_sys_kernel.5.html (pid_max)
 */
export function pseudoPid(name: string): number {
  let hash = 0
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 0x3f_ff_ff_ff
  return 2 ** 22 + 1 + hash
}

/** For formats that must be parsed as a whole. */
export async function readWhole(chunks: AsyncIterable<Uint8Array>, limitBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > limitBytes) throw new ProfileError(`larger than ${limitBytes >> 20} MiB: split it`)
    parts.push(chunk)
  }
  return Buffer.concat(parts)
}
