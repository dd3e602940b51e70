/**
 * /proc/self/mountstats: what goes through each NFS mount, counted since it was mounted.
 * https://man7.org/linux/man-pages/man8/nfsiostat.8.html, fs/nfs/super.c and net/sunrpc/stats.c of the kernel
 *
 *   device nas1:/home mounted on /home with fstype nfs4 statvers=1.1
 *       bytes:  normalread normalwrite directread directwrite serverread serverwrite readpages writepages
 *       per-op statistics
 *           READ: ops sent timeouts bytes_out bytes_in queue_ms rtt_ms execute_ms [errors]
 *
 * Programs read normal + direct, the rest of the time the page cache helps, so the server's bytes can be fewer (or, by
 * readahead, more). What was sent oftener than there were operations was sent again. Reading this file asks no server.
 */
import { Rates } from '../counter.ts'
import { whole } from '../kernelfile.ts'
import { openMounts, unescaped } from '../mounts.ts'
import type { Absent, Source, SourceOptions, Tick } from '../source.ts'

export interface NfsMount {
  path: string
  /** In the order of the kernel; undefined where the line is missing or broken. */
  bytes: readonly number[] | undefined
  operations: ReadonlyMap<string, readonly number[]>
}

const DEVICE = /^device .+ mounted on (.+) with fstype nfs4? statvers=/
/** ops, sent, timeouts, bytes out, bytes in, queue, round trip, execute; newer kernels count errors too. */
const OPERATION = /^\s+([A-Z][A-Z0-9_]*): (\d+ \d+ \d+ \d+ \d+ \d+ \d+ \d+)/

export function parseMountstats(text: string): NfsMount[] {
  const mounts: NfsMount[] = []
  for (const block of text.split(/^(?=device )/m)) {
    const path = DEVICE.exec(block)?.[1]
    if (path === undefined) continue
    const bytes = /^\s+bytes:\s+(\d+(?: \d+){7})\s*$/m.exec(block)?.[1]
    const operations = new Map<string, readonly number[]>()
    for (const line of block.slice(block.indexOf('per-op statistics')).split('\n')) {
      const [, name, numbers] = OPERATION.exec(line) ?? []
      if (name !== undefined && numbers !== undefined) operations.set(name, numbers.split(' ').map(Number))
    }
    mounts.push({ path: unescaped(path), bytes: bytes?.split(' ').map(Number), operations })
  }
  return mounts
}

const READS = new Set(['READ', 'READ_PLUS'])
const WRITES = new Set(['WRITE'])

/** By column of the catalogue; undefined where the kernel's text is not whole. */
export function nfsCounters({ bytes, operations }: NfsMount): ReadonlyMap<string, number> | undefined {
  if (!bytes || operations.size === 0) return undefined
  const [read = 0, write = 0, directRead = 0, directWrite = 0, serverRead = 0, serverWrite = 0] = bytes
  const done = { read: 0, write: 0, metadata: 0 }
  let again = 0
  let executeMs = 0
  for (const [name, [ops = 0, sent = 0, , , , , , execute = 0]] of operations) {
    if (name === 'NULL') continue
    done[READS.has(name) ? 'read' : WRITES.has(name) ? 'write' : 'metadata'] += ops
    again += Math.max(0, sent - ops)
    executeMs += execute
  }
  return new Map([
    ['read_bytes', read + directRead],
    ['write_bytes', write + directWrite],
    ['server_read_bytes', serverRead],
    ['server_write_bytes', serverWrite],
    ['read_operations', done.read],
    ['write_operations', done.write],
    ['metadata_operations', done.metadata],
    ['queue', executeMs / 1000],
    ['retransmissions', again],
  ])
}

export function openNfs(options: SourceOptions): Source | Absent {
  const path = options.roots.proc === '/proc' ? 'proc/self/mountstats' : 'proc/1/mountstats'
  const file = options.files.find(path)
  const mounts = openMounts(options)
  if (!file || !mounts) return { absent: `no /${path}` }
  const rates = new Rates('filesystem')
  let shown = new Set<string>()
  return {
    name: 'nfs',
    read(tick: Tick) {
      shown = new Set(mounts.read(tick).flatMap(({ mount }) => (/^nfs4?$/.test(mount.type) ? [mount.path] : [])))
      // most machines have none, and their mountstats have a line for each of their other mounts
      if (shown.size === 0) return rates.next(tick, new Map())
      const counters = new Map<string, ReadonlyMap<string, number>>()
      const broken: string[] = []
      const missing = new Set(shown)
      for (const mount of parseMountstats(file.read(tick))) {
        if (!missing.delete(mount.path)) continue
        const ofMount = nfsCounters(mount)
        if (ofMount) counters.set(mount.path, ofMount)
        else broken.push(`mountstats of ${mount.path} is not whole`)
      }
      broken.push(...[...missing].map(path => `mountstats has nothing of ${path}`))
      return whole(rates.next(tick, counters), broken)
    },
    detail: () => (shown.size === 0 ? 'no NFS is mounted' : undefined),
  }
}
