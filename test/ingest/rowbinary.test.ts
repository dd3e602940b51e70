import { describe, expect, it } from 'vitest'
import { RowWriter } from '../../ingest/rowbinary.ts'

const bytes = (write: (writer: RowWriter) => void): number[] => {
  const writer = new RowWriter(1)
  write(writer)
  return [...writer.bytes]
}
const int64 = (value: number): bigint => {
  const writer = new RowWriter()
  writer.i64(value)
  return new DataView(writer.bytes.slice().buffer).getBigInt64(0, true)
}

describe('RowWriter', () => {
  it('writes what ClickHouse reads', () => {
    expect(bytes(w => w.u8(7))).toEqual([7])
    expect(bytes(w => w.u16(0x0102))).toEqual([2, 1])
    expect(bytes(w => w.u32(0x01020304))).toEqual([4, 3, 2, 1])
    expect(bytes(w => w.i32(-2))).toEqual([254, 255, 255, 255])
    expect(bytes(w => w.f32(1))).toEqual([0, 0, 128, 63])
    expect(bytes(w => w.f64(1))).toEqual([0, 0, 0, 0, 0, 0, 240, 63])
    expect(bytes(w => w.u64(0xffff_ffff_ffff_ffffn))).toEqual(Array(8).fill(255))
    expect(bytes(w => w.bigI64(-1n))).toEqual(Array(8).fill(255))
    expect(bytes(w => w.string(''))).toEqual([0])
    expect(bytes(w => w.string('aé'))).toEqual([3, 97, 195, 169])
    expect(bytes(w => w.nullableI64(undefined))).toEqual([1])
    expect(bytes(w => w.nullableF32(0))).toEqual([0, 0, 0, 0, 0])
    expect(bytes(w => w.array(['a', 'b'], v => w.string(v)))).toEqual([2, 1, 97, 1, 98])
    expect(bytes(w => w.map([['k', 'v']], v => w.string(v)))).toEqual([1, 1, 107, 1, 118])
    expect(bytes(w => w.dateTime(1500))).toEqual([2, 0, 0, 0])
    expect(bytes(w => w.dateTime64(1500))).toEqual([220, 5, 0, 0, 0, 0, 0, 0])
    expect(bytes(w => w.date(86_400_000 * 3 + 5))).toEqual([3, 0])
  })

  it('writes the length of a long string in as many bytes as it needs', () => {
    for (const length of [42, 43, 127, 128, 16_383, 16_384, 2_100_000]) {
      const text = 'é'.repeat(length)
      const got = bytes(w => w.string(text))
      let size = 0
      let at = 0
      for (let shift = 0; ; shift += 7) {
        const byte = got[at++] ?? 0
        size |= (byte & 127) << shift
        if (byte < 128) break
      }
      expect(size).toBe(length * 2)
      expect(got.length - at).toBe(size)
    }
  })

  it('writes 64-bit integers exactly as far as a number is exact, and never wraps around', () => {
    for (const value of [0, 1, -1, 2 ** 31, -(2 ** 31), 2 ** 32, -(2 ** 32) - 1, 2 ** 53 - 1, -(2 ** 53), 2 ** 62]) {
      expect(int64(value)).toBe(BigInt(value))
    }
    expect(int64(1e300)).toBe(2n ** 63n - 1n)
    expect(int64(2 ** 63)).toBe(2n ** 63n - 1n)
    expect(int64(-1e300)).toBe(-(2n ** 63n))
  })

  it('takes back a row that was not ended', () => {
    const writer = new RowWriter(1)
    writer.string('kept')
    writer.endRow()
    writer.string('dropped')
    writer.dropRow()
    expect([writer.rows, Buffer.from(writer.bytes).toString()]).toEqual([1, '\u0004kept'])
  })
})
