import { describe, expect, it } from 'vitest'
import { COLUMNS, type Entity } from '../../ingest/metrics.ts'
import { storedColumns, storedValue } from '../../ingest/stored.ts'
import { openRandom } from './mutate.ts'

const of = (entity: Entity, column: string): ((value: number) => number) => {
  const columns = storedColumns(entity)
  const i = COLUMNS[entity].findIndex(m => m.column === column)
  return value => storedValue(columns, i, value)
}

describe('a stored value', () => {
  it('of a rate keeps 12 binary digits, of bytes 16, and the nearest of them', () => {
    const rate = of('interface', 'receive_bytes')
    expect([0, 1, -3, 4095, 4096, 4097, 4099, 123_456_789].map(rate)).toEqual([
      0, 1, -3, 4095, 4096, 4098, 4100, 123_469_824,
    ])
    expect([65_535, 65_537, 2 ** 38, 270_430_228_480].map(of('node', 'memory_used'))).toEqual([
      65_535,
      65_538,
      2 ** 38,
      270_431_944_704,
    ])
  })

  it('is off by at most half of its last digit, on both sides of 0', () => {
    const random = openRandom(20_261_128)
    const rate = of('disk', 'write_bytes')
    const values = Array.from({ length: 10_000 }, () => random(2 ** 31) * 2 ** random(30))
    const isNear = (value: number): boolean => Math.abs(rate(value) - value) <= value * 2 ** -12
    expect(values.filter(value => !isNear(value))).toEqual([])
    expect(values.filter(value => rate(rate(value)) !== rate(value) || rate(-value) !== -rate(value))).toEqual([])
  })

  it('of what there is in all is exact', () => {
    expect(of('node', 'memory_total')(270_430_228_480)).toBe(270_430_228_480)
  })

  it('of a share is exact to its scale, and nothing where it does not fit', () => {
    const share = of('node', 'cpu_user')
    expect(share(0.12345)).toBe(Math.round(0.12345 * (COLUMNS.node.find(m => m.column === 'cpu_user')?.scale ?? 0)))
    expect([Number.NaN, Number.POSITIVE_INFINITY, 1e12].map(share)).toEqual([Number.NaN, Number.NaN, Number.NaN])
    expect(of('node', 'memory_used')(1e20)).toBeNaN()
  })
})
