/** Records of jobs and nodes in bodies of a size that a receiver takes. */
import type { Due } from './ledger.ts'

const CHUNK_RECORDS = 1000
const CHUNK_BYTES = 1 << 20

interface Chunk {
  jobs: Due[]
  nodes: Due[]
}

/** At most 1000 records and about 1 MiB each. */
export function* chunksOf(jobs: readonly Due[], nodes: readonly Due[]): Generator<Chunk> {
  let chunk: Chunk = { jobs: [], nodes: [] }
  let bytes = 0
  let count = 0
  for (const [list, due] of [...jobs.map(d => ['jobs', d] as const), ...nodes.map(d => ['nodes', d] as const)]) {
    const size = JSON.stringify(due.record).length
    if (count > 0 && (count >= CHUNK_RECORDS || bytes + size > CHUNK_BYTES)) {
      yield chunk
      chunk = { jobs: [], nodes: [] }
      bytes = 0
      count = 0
    }
    chunk[list].push(due)
    bytes += size
    count++
  }
  if (count > 0) yield chunk
}

export function bodyOf(chunk: Chunk): Uint8Array {
  return Buffer.from(
    JSON.stringify({ jobs: chunk.jobs.map(due => due.record), nodes: chunk.nodes.map(due => due.record) }),
  )
}
