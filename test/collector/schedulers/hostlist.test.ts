import { describe, expect, it } from 'vitest'
import { expandHostlist } from '../../../collector/schedulers/hostlist.ts'

describe('hostlist', () => {
  it.each([
    ['', ''],
    ['node1', 'node1'],
    ['node[1-3,5]', 'node1 node2 node3 node5'],
    ['n[008-011]', 'n008 n009 n010 n011'],
    ['n[8-11]', 'n8 n9 n10 n11'],
    ['n[98-101]', 'n98 n99 n100 n101'],
    ['node[1-3,5],r[01-02]n[1-2]', 'node1 node2 node3 node5 r01n1 r01n2 r02n1 r02n2'],
    ['login,gpu-[1,3]-ib0.cluster,x', 'login gpu-1-ib0.cluster gpu-3-ib0.cluster x'],
    ['a[1]b[2]c[3-4]', 'a1b2c3 a1b2c4'],
  ])('%s', (list, names) => {
    expect(expandHostlist(list)).toEqual(names === '' ? [] : names.split(' '))
  })

  it.each([['n[1-3'], ['n[1-x]'], ['n[1-200000]'], ['n[1-400]m[1-400]'], ['n[1-3]]']])('refuses %s', list => {
    expect(() => expandHostlist(list)).toThrow()
  })
})
