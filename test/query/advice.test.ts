import { describe, expect, it } from 'vitest'
import { advise, bytes, type JobEvidence } from '../../query/advice.ts'
import { median, robustScores } from '../../query/robust.ts'

const GiB = 2 ** 30

/** A job that is as it should be: 4 nodes x 16 cores for an hour. */
const good: JobEvidence = {
  elapsedSeconds: 3600,
  coverage: 1,
  cores: 64,
  coreSecondsUsed: 62 * 3600,
  coreSecondsAllocated: 64 * 3600,
  kernelShare: 0.02,
  memoryBytes: 64 * GiB,
  memoryPeakBytes: 40 * GiB,
  outOfMemory: false,
  nodes: ['a', 'b', 'c', 'd'].map(node => ({ node, cores: 16, jobCores: 15.5, waitShare: 0.3, iowait: 0.01 })),
}
const texts = (job: Partial<JobEvidence>) => advise({ ...good, ...job }).map(f => f.text)
const nodes = (values: Partial<JobEvidence['nodes'][number]>[]) =>
  values.map((value, i) => ({ node: `n${i + 1}`, cores: 16, jobCores: 15.5, waitShare: 0.3, iowait: 0.01, ...value }))

describe('advice', () => {
  it('says nothing of a job that is as it should be', () => {
    expect(advise(good)).toEqual([])
  })

  it('says nothing of how it ran where too little was seen', () => {
    const poor = { coreSecondsUsed: 3600, kernelShare: 0.9, nodes: nodes([{ iowait: 0.9 }]) }
    expect(texts(poor).length).toBeGreaterThan(0)
    expect(texts({ ...poor, coverage: 0.49 })).toEqual([])
    expect(texts({ ...poor, elapsedSeconds: 59 })).toEqual([])
  })

  it('the node that the others wait for waits least', () => {
    const wait = (shares: number[]) => nodes(shares.map(waitShare => ({ waitShare })))
    expect(advise({ ...good, nodes: wait([0.4, 0.41, 0.39, 0.4, 0.02, 0.42]) })).toEqual([
      {
        severity: 'warning',
        node: 'n5',
        text: 'n5 waits 2.0 % of its CPU time, the other nodes 40 % (median): they wait for it',
      },
    ])
    // Half of them: that is how the program is, not a straggler.
    expect(texts({ nodes: wait([0.4, 0.4, 0.4, 0.02, 0.02, 0.02]) })).toEqual([])
    // Two nodes: nobody can say which is the odd one.
    expect(texts({ nodes: wait([0.4, 0.02]) })).toEqual([])
  })

  it('a node that computes less', () => {
    const busy = [15.5, 15.4, 15.6, 15.5, 6]
    expect(texts({ nodes: nodes(busy.map(jobCores => ({ jobCores }))) })).toEqual([
      'n5 computes less than the others: 38 % of its allocated cores are busy, the median is 97 %',
    ])
    // Dust: far in robust deviations since the others are equal, but no difference to anyone.
    expect(texts({ nodes: nodes([15.5, 15.5, 15.5, 15.5, 15].map(jobCores => ({ jobCores }))) })).toEqual([])
  })

  it('idle cores, from the strangest case to the plain one', () => {
    expect(texts({ coreSecondsUsed: 60 })).toEqual(['it does nothing: 0.0 cores of 64 busy on average over 60 min'])
    expect(texts({ coreSecondsUsed: 3600 })).toEqual([
      'it uses one core of 64: the program may be serial, or OMP_NUM_THREADS or the number of ranks is 1',
    ])
    expect(texts({ coreSecondsUsed: 20 * 3600 })).toEqual([
      'low CPU efficiency: 20 cores of 64 busy on average, 31 % of what it holds',
    ])
    const asleep = nodes([{}, {}, { jobCores: 0 }, { jobCores: 0.1 }])
    expect(texts({ coreSecondsUsed: 31 * 3600, nodes: asleep })).toEqual(['2 of 4 nodes do nothing for it: n3, n4'])
    // A serial job that asked for one core.
    expect(texts({ cores: 1, coreSecondsUsed: 3600, coreSecondsAllocated: 3600 })).toEqual([])
    expect(texts({ coreSecondsUsed: null })).toEqual([])
  })

  it('memory: killed, near the limit, far below it', () => {
    expect(texts({ outOfMemory: true, coverage: 0 })).toEqual([
      'killed for memory (limit 64 GiB); its processes had 40 GiB at the highest tick',
    ])
    expect(texts({ memoryPeakBytes: 60 * GiB })[0]).toMatch(/^memory near its limit: 60 GiB of 64 GiB \(94 %\)/)
    expect(advise({ ...good, memoryPeakBytes: 2 * GiB })).toEqual([
      { severity: 'info', node: null, text: 'it asked for 64 GiB of memory and had 2.0 GiB at most' },
    ])
    expect(texts({ memoryPeakBytes: 2 * GiB, memoryBytes: null })).toEqual([])
  })

  it('kernel and I/O wait', () => {
    expect(texts({ kernelShare: 0.4 })[0]).toMatch(/^40 % of its CPU time is in the kernel/)
    expect(texts({ nodes: nodes([{ iowait: 0.3 }, { iowait: 0.1 }, { iowait: null }, {}]) })[0]).toMatch(
      /^its nodes wait for I\/O: 14 % of their time/,
    )
  })
})

it('medians and robust distances', () => {
  expect(median([])).toBeNull()
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 2, 3])).toBe(2.5)
  expect(robustScores([1, 2])).toEqual([null, null])
  const scores = robustScores([10, 11, 9, 10, null, 30])
  expect(scores[4]).toBeNull()
  expect(scores[0]).toBe(0)
  // MAD 1: 0.6745 x 20.
  expect(scores[5]).toBeCloseTo(13.49)
})

it('bytes as people say them', () => {
  expect([0, 1, 1023, 1024, 1536, 20 * GiB].map(bytes)).toEqual([
    '0 B',
    '1 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '20 GiB',
  ])
})
