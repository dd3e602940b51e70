/**
 * The byte stream between `perf record -o -` and `perf script -i -`, mended on its way. It is a head of 16 bytes, then records:
 *
 *   ┌ u32 type ┬ u16 misc ┬ u16 size ┬ payload … ┬ sample id: tid, time, id, cpu ┐
 *
 * perf script forgets no map of a process at exec: what it copied at the fork from the parent stays. Its unwinder then takes
 * the lowest mapping of libc for the base of libc, and where that is the parent's (address randomisation: every other time),
 * nothing can be unwound through libc or any other library that both share. Hence, before the COMM record of an exec, a FORK
 * record is put in that carries the flag by which perf marks forks whose maps are not to be copied: it makes perf script
 * begin the process anew. The same after EXIT, since perf script keeps the maps of the dead, too:
 *
 *   FORK 7 → COMM "split" exec → MMAP2 …              FORK 7 → [FORK 7, no maps] → COMM "split" exec → MMAP2 …
 *   tools/perf/util/machine.c machine__process_fork_event, util/unwind-libunwind-local.c read_unwind_spec_eh_frame
 *   https://docs.kernel.org/userspace-api/perf_ring_buffer.html, perf_event_open(2)
 */

const HEAD_BYTES = 16
const LOST = 2
const COMM = 3
const EXIT = 4
const THROTTLE = 5
const FORK = 7
const SAMPLE = 9
const LOST_SAMPLES = 13
const SEEN: ReadonlySet<number> = new Set([LOST, COMM, EXIT, THROTTLE, LOST_SAMPLES])
/** PERF_RECORD_MISC_COMM_EXEC in COMM; in FORK perf's own PERF_RECORD_MISC_FORK_EXEC. */
const EXEC = 1 << 13

export class PerfStream {
  /** Called with each process that becomes another program, long before its first sample has gone through perf script. */
  private readonly onExec: (pid: number) => void
  /** Samples that passed. */
  samples = 0
  /** Records the kernel dropped: side-band ones too, so an upper bound of lost samples. */
  lost = 0
  throttled = 0
  private rest: Buffer = Buffer.alloc(0)
  /** Bytes of the head, or of a record that nobody looks at, which still pass. */
  private passing = HEAD_BYTES

  constructor(onExec: (pid: number) => void = () => undefined) {
    this.onExec = onExec
  }

  /** The same bytes, with records put in; the beginning of a record that must be seen whole is kept for the next call. */
  push(chunk: Buffer): Buffer[] {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    const out: Buffer[] = []
    let sent = 0
    let at = 0
    for (;;) {
      const passed = Math.min(this.passing, bytes.length - at)
      at += passed
      this.passing -= passed
      if (at + 8 > bytes.length) break
      // A size below its own header is no record; such a stream is passed on as it is.
      const size = Math.max(8, bytes.readUInt16LE(at + 6))
      const type = bytes.readUInt32LE(at)
      if (type === SAMPLE) this.samples++
      if (SEEN.has(type)) {
        if (at + size > bytes.length) break
        const put = this.take(type, bytes.subarray(at, at + size))
        if (put) {
          const here = put.before ? at : at + size
          out.push(bytes.subarray(sent, here), put.record)
          sent = here
        }
      }
      this.passing = size
    }
    if (at > sent) out.push(bytes.subarray(sent, at))
    this.rest = Buffer.from(bytes.subarray(at))
    return out
  }

  private take(type: number, record: Buffer): { before: boolean; record: Buffer } | undefined {
    // All that are read below have at least 16 bytes and a sample id of 16, which perf asks for.
    if (record.length < 32) return undefined
    switch (type) {
      case LOST:
        this.lost += Number(record.readBigUInt64LE(16))
        return undefined
      case LOST_SAMPLES:
        this.lost += Number(record.readBigUInt64LE(8))
        return undefined
      case THROTTLE:
        this.throttled++
        return undefined
      case COMM:
        if ((record.readUInt16LE(4) & EXEC) === 0) return undefined
        this.onExec(record.readUInt32LE(8))
        return { before: true, record: forkBeforeComm(record) }
      case EXIT:
        // Of the whole process, not of one thread.
        return record.readUInt32LE(8) === record.readUInt32LE(16)
          ? { before: false, record: forkAfterExit(record) }
          : undefined
      default:
        return undefined
    }
  }
}

/** COMM: pid u32, tid u32, name padded to 8, sample id. */
function forkBeforeComm(comm: Buffer): Buffer {
  const pid = comm.readUInt32LE(8)
  const end = comm.indexOf(0, 16)
  const nameBytes = (Math.max(0, end - 16) + 8) & ~7
  return fork(pid, comm.readUInt16LE(4), comm.subarray(16 + nameBytes))
}

/** EXIT has the layout of FORK: pid, ppid, tid, ptid u32, time u64, sample id. */
function forkAfterExit(exit: Buffer): Buffer {
  return fork(exit.readUInt32LE(8), exit.readUInt16LE(4), exit.subarray(32))
}

/** The time that counts is the one in the sample id; that of the payload is not read. */
function fork(pid: number, misc: number, sampleId: Buffer): Buffer {
  const record = Buffer.alloc(32)
  record.writeUInt32LE(FORK, 0)
  record.writeUInt16LE((misc & 7) | EXEC, 4)
  record.writeUInt16LE(32 + sampleId.length, 6)
  record.writeUInt32LE(pid, 8)
  record.writeUInt32LE(pid, 16)
  return Buffer.concat([record, sampleId])
}
