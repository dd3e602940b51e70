import { describe, expect, it } from 'vitest'
import { adviseSampling, readSamplingHost, type SamplingHost } from '../../../collector/samplingadvice.ts'

const RUNS = { sampler: { kind: 'addon', hz: 19, clock: 'cpu-clock' } }
const ROOT: SamplingHost = { paranoid: 2, kptrRestrict: 1, capabilities: (1n << 41n) - 1n }
/** CAP_PERFMON alone. */
const PERFMON: SamplingHost = { paranoid: 2, kptrRestrict: 1, capabilities: 1n << 38n }

describe('what doctor says of sampling', () => {
  it('with every right: who samples, and by what', () => {
    expect(adviseSampling(RUNS, [], ROOT)).toEqual([
      'by the addon at 19 Hz, by the timer, since this machine shows no cycle counter',
    ])
    const perf = { sampler: { kind: 'perf', hz: 49, clock: 'cycles' } }
    expect(adviseSampling(perf, ['the addon is not built: run x'], ROOT)).toEqual([
      'by perf at 49 Hz, by the cycle counter',
      'not by another: the addon is not built: run x',
    ])
  })

  it('with fewer: what is missing in the stacks, and what to give', () => {
    const lines = adviseSampling(RUNS, [], PERFMON).join('\n')
    for (const capability of ['CAP_SYSLOG', 'CAP_SYS_PTRACE', 'CAP_SYS_NICE', 'CAP_IPC_LOCK'])
      expect(lines).toContain(capability)
    expect(lines).not.toContain('CAP_PERFMON')
    const none = adviseSampling(RUNS, [], { paranoid: 0, kptrRestrict: 0, capabilities: 0n }).join('\n')
    expect(none).toContain('kernel.perf_event_paranoid (0) is 0 or less: give CAP_PERFMON')
    expect(none).not.toContain('kernel functions')
    expect(adviseSampling(RUNS, [], { ...ROOT, kptrRestrict: 2 }).at(-1)).toContain('sysctl kernel.kptr_restrict=1')
  })

  it('nothing where nobody samples: that is told as the reason of the source', () => {
    expect(adviseSampling({ absent: 'turned off' }, ['a'], PERFMON)).toEqual([])
  })

  it('reads this kernel, and a /proc that is empty', () => {
    expect(readSamplingHost('/proc').paranoid).toEqual(expect.any(Number))
    expect(readSamplingHost('/no/proc')).toEqual({ paranoid: undefined, kptrRestrict: undefined, capabilities: 0n })
  })
})
