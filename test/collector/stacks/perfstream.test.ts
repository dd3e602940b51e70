import { describe, expect, it } from 'vitest'
import { PerfStream } from '../../../collector/perfstream.ts'

const HEAD = Buffer.alloc(16, 'PERFILE2')
const EXEC = 1 << 13
const SAMPLE_ID = Buffer.from('0102030405060708a1a2a3a4a5a6a7a8', 'hex')

function record(type: number, misc: number, ...parts: Buffer[]): Buffer {
  const payload = Buffer.concat(parts)
  const header = Buffer.alloc(8)
  header.writeUInt32LE(type, 0)
  header.writeUInt16LE(misc, 4)
  header.writeUInt16LE(8 + payload.length, 6)
  return Buffer.concat([header, payload])
}

const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer)
const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer)
const comm = (pid: number, name: string, misc: number) =>
  record(3, misc, u32(pid, pid), Buffer.from(name.padEnd((name.length + 8) & ~7, '\0')), SAMPLE_ID)
const exit = (pid: number, tid: number) => record(4, 2, u32(pid, 1, tid, 1), u64(9), SAMPLE_ID)
const fork = (pid: number, misc: number) => record(7, misc, u32(pid, 0, pid, 0), u64(0), SAMPLE_ID)
const sample = record(9, 2, Buffer.alloc(20_000, 's'))
const mmap = record(10, 2, Buffer.alloc(90, 'm'))

function passed(stream: PerfStream, bytes: Buffer, chunk = bytes.length): Buffer {
  const out: Buffer[] = []
  for (let at = 0; at < bytes.length; at += chunk) out.push(...stream.push(bytes.subarray(at, at + chunk)))
  return Buffer.concat(out)
}

describe('PerfStream', () => {
  const given = Buffer.concat([
    HEAD,
    mmap,
    comm(70, 'sh', 0),
    sample,
    comm(70, 'split', EXEC | 2),
    comm(71, 'sevenby', EXEC | 2),
    exit(70, 71),
    exit(70, 70),
    sample,
  ])
  const mended = Buffer.concat([
    HEAD,
    mmap,
    comm(70, 'sh', 0),
    sample,
    fork(70, EXEC | 2),
    comm(70, 'split', EXEC | 2),
    fork(71, EXEC | 2),
    comm(71, 'sevenby', EXEC | 2),
    exit(70, 71),
    exit(70, 70),
    fork(70, EXEC | 2),
    sample,
  ])

  it('begins a process anew at exec and after its exit, in the time of that record', () => {
    const stream = new PerfStream()
    expect(passed(stream, given).equals(mended)).toBe(true)
    expect(stream.samples).toBe(2)
  })

  it('tells of each exec', () => {
    const pids: number[] = []
    passed(new PerfStream(pid => pids.push(pid)), given)
    expect(pids).toEqual([70, 71])
  })

  it('does so however the bytes are cut', () => {
    for (const chunk of [1, 3, 7, 16, 17, 4096, 20_001])
      expect(passed(new PerfStream(), given, chunk).equals(mended), `${chunk}`).toBe(true)
  })

  it('counts what the kernel says it dropped', () => {
    const stream = new PerfStream()
    passed(
      stream,
      Buffer.concat([
        HEAD,
        record(2, 0, u64(1), u64(7), SAMPLE_ID),
        record(13, 0, u64(5), SAMPLE_ID),
        record(5, 0, u64(1), u64(2), u64(3)),
      ]),
    )
    expect(stream).toMatchObject({ lost: 12, throttled: 1, samples: 0 })
  })

  it('survives records that are none', () => {
    let seed = 3
    const next = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648
      return Math.floor((seed / 2147483648) * below)
    }
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(given)
      for (let hits = next(30); hits > 0; hits--) bytes[16 + next(bytes.length - 16)] = next(256)
      const stream = new PerfStream()
      expect(passed(stream, bytes, 1 + next(3000)).length).toBeLessThan(2 * bytes.length)
    }
  })
})
