import { describe, expect, it } from 'vitest'
import { formatPlace, NOWHERE, type Place, parsePlace, placeAt, placeWith, viewOf } from '../../ui/state.ts'
import { brushOf, brushQuery, fixedQuery, followed, moved, spanOf, zoomedOut } from '../../ui/time.ts'

const roundTrip = (hash: string) => formatPlace(parsePlace(hash))

describe('the address is the state', () => {
  it.each([
    ['#/demo', 'cluster'],
    ['#/demo/jobs?q=user:ann+nodes:%3E8', 'jobs'],
    ['#/demo/job/1003', 'job'],
    ['#/demo/job/1003/node/n07?metric=memory_used', 'node'],
    ['#/demo/node/n07/process/4711?start=1732384738000&range=4h', 'process'],
    ['#/demo?t=focus:dgemm%40libblas.so&t=recursion', 'cluster'],
  ])('%s is the %s page', (hash, view) => {
    const place = parsePlace(hash)
    expect(viewOf(place)).toBe(view)
    expect(parsePlace(formatPlace(place))).toEqual(place)
  })

  it('any name survives: arrays, blanks, slashes, the words of the path themselves', () => {
    for (const name of ['4711_[1-3]', 'a/b', 'node', 'job', '100%', 'ü?&#', '%zz'])
      expect(parsePlace(formatPlace({ ...NOWHERE, cluster: 'c', job: name, node: name }))).toMatchObject({
        job: name,
        node: name,
      })
  })

  it('a broken address does not throw', () => {
    expect(parsePlace('#/%E0%A4%A/node')).toMatchObject({ node: '' })
    expect(roundTrip('')).toBe('#/')
  })

  it('a step down keeps time and metric, and drops what belonged to the page', () => {
    const here = parsePlace('#/demo?range=4h&metric=memory_used&sel=1..2&find=dot&t=recursion')
    expect(formatPlace(placeAt(here, { node: 'n01' }))).toBe('#/demo/node/n01?range=4h&metric=memory_used')
    expect(formatPlace(placeWith(here, { find: undefined, metric: '' }, []))).toBe('#/demo?range=4h&sel=1..2')
  })
})

describe('time', () => {
  const HOUR = 3_600_000
  const at = (hash: string): Place => parsePlace(hash)
  const NOW = Date.parse('2024-11-23T18:00:00Z')

  it('follows by default, and ends where values stopped', () => {
    expect(spanOf(at('#/demo'), NOW, NOW - 10_000)).toEqual({ from: NOW - HOUR, to: NOW })
    expect(spanOf(at('#/demo?range=15m'), NOW, NOW - 5 * HOUR)).toEqual({
      from: NOW - 5 * HOUR - 900_000,
      to: NOW - 5 * HOUR,
    })
  })

  it('a job has its own span unless another is asked for', () => {
    expect(spanOf(at('#/demo/job/7'), NOW, null)).toBeUndefined()
    expect(followed(at('#/demo/job/7?range=1h'))).toBe('1h')
  })

  it('zooms out one step, never into the future', () => {
    expect(zoomedOut(at('#/demo?range=1h'), { from: 0, to: 1 }, NOW).query).toEqual({ range: '4h' })
    const fixed = placeWith(at('#/demo'), fixedQuery({ from: NOW - HOUR, to: NOW }))
    expect(spanOf(zoomedOut(fixed, { from: NOW - HOUR, to: NOW }, NOW), NOW, null)).toEqual({
      from: NOW - 2 * HOUR,
      to: NOW,
    })
  })

  it('moves half a window', () => {
    const span = { from: NOW - 2 * HOUR, to: NOW - HOUR }
    expect(spanOf(moved(at('#/demo'), span, -1, NOW), NOW, null)?.to).toBe(NOW - 1.5 * HOUR)
    expect(spanOf(moved(at('#/demo'), { from: NOW - HOUR, to: NOW }, 1, NOW), NOW, null)?.to).toBe(NOW)
  })

  it('a brush is in the address', () => {
    const brushed = placeWith(at('#/demo/node/n1'), brushQuery({ from: NOW - 60_400, to: NOW }))
    expect(formatPlace(brushed)).toBe('#/demo/node/n1?sel=2024-11-23T17:59:00Z..2024-11-23T18:00:00Z')
    expect(brushOf(parsePlace(formatPlace(brushed)))).toEqual({ from: NOW - 60_000, to: NOW })
    expect(brushOf(at('#/demo?sel=x..y'))).toBeUndefined()
  })
})
