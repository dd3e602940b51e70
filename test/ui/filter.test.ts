import { describe, expect, it } from 'vitest'
import type { JobRow } from '../../query/api.ts'
import { askedOf, formatFilter, parseFilter, testRow, withToken } from '../../ui/filter.ts'
import { formatCores, formatRatio, formatSeconds, formatValue, formatWhole } from '../../ui/format.ts'

const NOW = Date.parse('2024-11-23T18:00:30Z')
const asked = (text: string) => askedOf(parseFilter(text), NOW)

describe('the filter of jobs', () => {
  it('asks the server what the server can tell', () => {
    expect(asked('user:ann state:failed,timeout queue:batch')).toEqual({
      user: 'ann',
      state: 'failed,timeout',
      queue: 'batch',
    })
    expect(asked('nodes:>8 elapsed:>2h')).toEqual({ minNodes: 9, minSeconds: 7200 })
    expect(asked('nodes:>=8')).toEqual({ minNodes: 8 })
    expect(asked('since:7d')).toEqual({ from: Date.parse('2024-11-16T18:00:00Z') })
  })

  it('a word alone is part of a name; a quoted one may hold blanks', () => {
    expect(asked('wing')).toEqual({ name: 'wing' })
    expect(asked('name:"wing les"')).toEqual({ name: 'wing les' })
    expect(asked('what:ever')).toEqual({ name: 'what:ever' })
    expect(parseFilter('')).toEqual([])
  })

  it('is written as it was read', () => {
    const text = 'user:ann name:"wing les" nodes:>8'
    expect(formatFilter(parseFilter(text))).toBe(text)
    expect(withToken(text, { key: 'user', value: 'bob' })).toBe('name:"wing les" nodes:>8 user:bob')
  })

  it('tests the sizes on each row', () => {
    const row = { nodeCount: 8, cores: 512, gpus: 0, cpuEfficiency: 0.25 } as JobRow
    const passes = (text: string) => testRow(parseFilter(text), row)
    expect(['nodes:8', 'nodes:>=8', 'cores:<=512', 'cpu:<30', 'gpus:0', 'user:x'].map(passes)).not.toContain(false)
    expect(['nodes:>8', 'cores:<512', 'cpu:>30%', 'gpus:>0'].map(passes)).not.toContain(true)
    expect(testRow(parseFilter('cpu:<30'), { ...row, cpuEfficiency: null })).toBe(false)
    expect(testRow(parseFilter('nodes:many'), row)).toBe(true)
  })
})

describe('numbers for people', () => {
  it('shares: one decimal below ten, never nothing for something', () => {
    expect([0, 0.0004, 0.012, 0.0996, 0.5, 1, 1.458, null].map(formatRatio)).toEqual([
      '0%',
      '<0.1%',
      '1.2%',
      '10%',
      '50%',
      '100%',
      '146%',
      '–',
    ])
  })
  it('bytes in powers of 1024, rates in powers of 1000', () => {
    expect(formatValue('bytes', 256 * 2 ** 30)).toBe('256 GiB')
    expect(formatValue('bytes', 1536)).toBe('1.50 KiB')
    expect(formatValue('bytes/s', 999_999)).toBe('1.00 MB/s')
    expect(formatValue('bytes/s', 12)).toBe('12 B/s')
    expect(formatValue('W', 1320)).toBe('1.32 kW')
    expect(formatValue('1', null)).toBe('–')
  })
  it('lengths', () => {
    expect([0, 0.0123, 0.84, 12.34, 250, 11_530, 190_000].map(formatSeconds)).toEqual([
      '0 s',
      '12.3 ms',
      '840 ms',
      '12.3 s',
      '4m 10s',
      '3h 12m',
      '2d 4h',
    ])
  })
  it('counts', () => {
    expect([4096, 999_999, 1_234_567].map(formatWhole)).toEqual(['4,096', '999,999', '1.23 M'])
    expect([0.9, 15.4, 128].map(formatCores)).toEqual(['0.90', '15.40', '128'])
  })
})
