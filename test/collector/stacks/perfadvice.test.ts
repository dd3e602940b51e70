import { describe, expect, it } from 'vitest'
import { threadGroup } from '../../../collector/perf.ts'
import { advicePerf, type PerfHost } from '../../../collector/perfadvice.ts'
import { commandFor } from '../../../collector/perfcommand.ts'

const HOST: PerfHost = { paranoid: 2, distribution: 'debian', kernel: '6.1.0-18-amd64' }
/** Standard error of `perf record -a` of perf 6.1 as nobody, with kernel.perf_event_paranoid=2. */
const REFUSED = `Error:
Access to performance monitoring and observability operations is limited.
Consider adjusting /proc/sys/kernel/perf_event_paranoid setting to open
access to performance monitoring and observability operations for processes
without CAP_PERFMON, CAP_SYS_PTRACE or CAP_SYS_ADMIN Linux capability.`

describe('what to do when perf cannot', () => {
  it.each([
    ['debian', 'apt-get install linux-perf'],
    ['ubuntu debian', 'apt-get install linux-tools-6.1.0-18-amd64'],
    ['rocky rhel centos fedora', 'dnf install perf'],
    ['sles suse', 'zypper install perf'],
  ])('install it on %s', (distribution, command) => {
    expect(advicePerf("env: 'perf': No such file or directory", { ...HOST, distribution })).toContain(`\`${command}\``)
  })

  it('says what to run for permission', () => {
    expect(advicePerf(REFUSED, HOST)).toMatch(/sysctl -w kernel\.perf_event_paranoid=0.*it is 2.*CAP_PERFMON/)
    expect(advicePerf(REFUSED, { ...HOST, paranoid: -1 })).not.toContain('sysctl')
  })

  it('repeats what perf said otherwise', () => {
    expect(
      advicePerf('Error:\nThe sys_perf_event_open() syscall returned with 38 (Function not implemented)', HOST),
    ).toMatch(/no perf events.*Function not implemented/)
    expect(advicePerf('*** stack smashing detected ***: terminated', HOST)).toContain('stack smashing detected')
    expect(advicePerf('', HOST)).toContain('perf record -a -e cpu-clock')
  })
})

describe('the command', () => {
  const options = { hz: 19, windowMs: 10_000, includeIdle: false, stackBytes: 16_384 }

  it('samples a large node less often, and never asks for more rings than fit', () => {
    const on = (cores: number) => commandFor(options, cores)
    expect([2, 16, 64, 128, 512].map(cores => on(cores).hz)).toEqual([19, 18, 4, 2, 1])
    expect([2, 16, 64, 128, 512].map(cores => on(cores).ringKib)).toEqual([2048, 2048, 1024, 512, 256])
  })

  it('has rings that hold as long at a higher rate', () => {
    const fast = (cores: number) => commandFor({ ...options, hz: 499 }, cores)
    expect([2, 4, 16].map(cores => [fast(cores).hz, fast(cores).ringKib])).toEqual([
      [150, 16_384],
      [75, 8192],
      [18, 2048],
    ])
  })

  it('asks for a stack copy that the kernel allows', () => {
    expect(commandFor({ ...options, stackBytes: 100_001 }, 2).stackBytes).toBe(65_528)
    expect(commandFor({ ...options, stackBytes: 16_385 }, 2).stackBytes).toBe(16_384)
  })
})

describe('thread groups', () => {
  it.each([
    ['worker-12', 'app', 'worker'],
    ['OMP thread 3', 'app', 'OMP thread'],
    ['pool-1-thread-7', 'java', 'pool-1-thread'],
    ['fib2', 'fib2', 'fib2'],
    ['fib2', 'fib', 'fib'],
    ['42', 'app', '42'],
    ['V8 WorkerThread', 'node', 'V8 WorkerThread'],
  ])('%s of %s is %s', (comm, process, group) => {
    expect(threadGroup(comm, process)).toBe(group)
  })
})
