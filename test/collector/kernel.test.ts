import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openFrequency, spread } from '../../collector/sources/frequency.ts'
import { openHugepages } from '../../collector/sources/hugepages.ts'
import { memoryReadings, openNuma, parseNodeMeminfo, parseNumastat } from '../../collector/sources/numa.ts'
import { openTcp, parseSnmp } from '../../collector/sources/tcp.ts'
import { type Machine, makeMachine, opened, partsOf, table } from './machine.ts'

const FIXTURES = new URL('../fixtures/sys/vm-2-cores/', import.meta.url)
const captured = (when: 'before' | 'after', path: string) => readFileSync(new URL(`${when}/${path}`, FIXTURES), 'utf8')
const capturedMachine = (when: 'before' | 'after') =>
  Object.fromEntries(
    readdirSync(new URL(`${when}/`, FIXTURES), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => `${entry.parentPath}/${entry.name}`.split(`${when}/`)[1] ?? '')
      .map(path => [path, captured(when, path)]),
  )
const write = (machine: Machine, files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) machine.write(path, text)
}

describe('NUMA', () => {
  const node = (number: number, free: number, miss: number, other: number) => ({
    [`sys/devices/system/node/node${number}/meminfo`]: `\
Node ${number} MemTotal:       1000 kB
Node ${number} MemFree:        ${free} kB
Node ${number} FilePages:      300 kB
Node ${number} Shmem:          100 kB
Node ${number} SReclaimable:    50 kB
Node ${number} HugePages_Total:     0
`,
    [`sys/devices/system/node/node${number}/numastat`]: `numa_hit 900\nnuma_miss ${miss}\nnuma_foreign 3\ninterleave_hit 1\nlocal_node 890\nother_node ${other}\n`,
  })

  it('tells the memory of each node, and the pages a second that were put elsewhere', () => {
    const machine = makeMachine({
      ...node(0, 200, 0, 0),
      ...node(1, 500, 10, 20),
      'sys/devices/system/node/online': '0-1',
    })
    const numa = opened(openNuma(machine.options))
    expect(table(numa.read(machine.tick()))).toEqual({
      'numa 0 memory_total': 1000 << 10,
      'numa 0 memory_free': 200 << 10,
      'numa 0 memory_cached': 250 << 10,
      'numa 0 memory_used': 550 << 10, // shared memory is used
      'numa 1 memory_total': 1000 << 10,
      'numa 1 memory_free': 500 << 10,
      'numa 1 memory_cached': 250 << 10,
      'numa 1 memory_used': 250 << 10,
    })
    write(machine, node(1, 500, 30, 60))
    expect(table(numa.read(machine.tick(2000)))).toMatchObject({
      'numa 0 misses': 0,
      'numa 1 misses': 10,
      'numa 1 other': 20,
      'numa 1 local': 0,
    })
  })

  it('counts a node that cannot be read, and tells the others', () => {
    const machine = makeMachine({ ...node(0, 200, 0, 0), ...node(1, 500, 10, 20) })
    const numa = opened(openNuma(machine.options))
    for (const [file, text] of [
      ['meminfo', ''],
      ['meminfo', 'Node 1 MemTo'],
      ['numastat', 'numa_hit'],
    ] as const) {
      write(machine, node(1, 500, 10, 20))
      machine.write(`sys/devices/system/node/node1/${file}`, text)
      const { told, problem } = partsOf(numa, machine.tick())
      expect(problem).toMatch(/^NUMA node 1: /)
      expect(told).toHaveProperty('numa 0 memory_used')
    }
  })

  it('reads the captured files; used, cached and free are all there is', () => {
    const bytes = parseNodeMeminfo(captured('before', 'sys/devices/system/node/node0/meminfo'))
    const readings = table(memoryReadings('0', bytes))
    const of = (column: string) => readings[`numa 0 ${column}`] ?? Number.NaN
    expect(of('memory_used') + of('memory_cached') + of('memory_free')).toBe(of('memory_total'))
    expect(of('memory_used')).toBeGreaterThan(100 << 20)
    expect(parseNumastat(captured('before', 'sys/devices/system/node/node0/numastat')).get('local')).toBeGreaterThan(
      1e6,
    )
  })

  it('is absent where there is one node, or none', () => {
    expect(openNuma(makeMachine(node(0, 1, 1, 1)).options)).toEqual({
      absent: expect.stringContaining('one NUMA node'),
    })
    expect(openNuma(makeMachine({}).options)).toEqual({ absent: expect.stringContaining('CONFIG_NUMA') })
  })
})

describe('huge pages', () => {
  it('are added up over their sizes', () => {
    const top = 'sys/kernel/mm/hugepages'
    const machine = makeMachine({
      [`${top}/hugepages-2048kB/nr_hugepages`]: '512\n',
      [`${top}/hugepages-2048kB/free_hugepages`]: '500\n',
      [`${top}/hugepages-1048576kB/nr_hugepages`]: '4\n',
      [`${top}/hugepages-1048576kB/free_hugepages`]: '1\n',
    })
    const hugepages = opened(openHugepages(machine.options))
    expect(table(hugepages.read(machine.tick()))).toEqual({
      'node hugepages_total': 5 * 2 ** 30,
      'node hugepages_used': 12 * 2 ** 21 + 3 * 2 ** 30,
    })
    machine.write(`${top}/hugepages-2048kB/free_hugepages`, '')
    expect(() => hugepages.read(machine.tick())).toThrow(/free_hugepages is no number/)
  })

  it('are read as captured: 8 of 2 MiB, all free', () => {
    const machine = makeMachine(capturedMachine('before'))
    expect(table(opened(openHugepages(machine.options)).read(machine.tick()))).toEqual({
      'node hugepages_total': 16 << 20,
      'node hugepages_used': 0,
    })
    expect(openHugepages(makeMachine({}).options)).toEqual({ absent: expect.stringContaining('CONFIG_HUGETLBFS') })
  })
})

describe('TCP and UDP', () => {
  const snmp = (sent: number, again: number, failed: number, errors: number) => `\
Ip: Forwarding DefaultTTL InReceives
Ip: 1 64 99
Icmp: InMsgs
Icmp: 1
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 5 6 ${failed} 1 17 100 ${sent} ${again} 0 9 0
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
Udp: 10 2 ${errors} 12 ${errors} 0 0 0 0
UdpLite: InDatagrams NoPorts InErrors
UdpLite: 7 7 7
`
  it('tell what was sent, sent again, cut off and lost a second', () => {
    const machine = makeMachine({ 'proc/1/net/snmp': snmp(1000, 10, 2, 0), 'proc/net/snmp': snmp(0, 0, 0, 0) })
    const tcp = opened(openTcp(machine.options))
    expect(table(tcp.read(machine.tick()))).toEqual({ 'node tcp_connections': 17 })
    machine.write('proc/1/net/snmp', snmp(3000, 50, 6, 8))
    expect(table(tcp.read(machine.tick(2000)))).toEqual({
      'node tcp_sent': 1000,
      'node tcp_retransmits': 20,
      'node tcp_resets': 2,
      'node udp_errors': 4,
      'node tcp_connections': 17,
    })
  })

  it('are read as captured, and refused where they are cut', () => {
    const before = parseSnmp(captured('before', 'proc/net/snmp'))
    const after = parseSnmp(captured('after', 'proc/net/snmp'))
    expect(after.get('Tcp.OutSegs')).toBeGreaterThanOrEqual(before.get('Tcp.OutSegs') ?? Number.NaN)
    expect(after.get('Tcp.MaxConn')).toBe(-1)
    for (const cut of ['', 'Tcp: RtoAlgorithm RtoMin', 'Tcp: OutSegs\nTcp:', 'Tcp: OutSegs\nTcp: x\n']) {
      expect(() => parseSnmp(cut)).toThrow(/no line of TCP/)
    }
    expect(openTcp(makeMachine({}).options)).toEqual({ absent: 'no /proc/net/snmp' })
  })
})

describe('clock of the CPUs', () => {
  const cpu = (number: number, kilohertz: string, max = '3500000\n') => ({
    [`sys/devices/system/cpu/cpu${number}/cpufreq/scaling_cur_freq`]: kilohertz,
    [`sys/devices/system/cpu/cpu${number}/cpufreq/cpuinfo_max_freq`]: max,
  })

  it('is the mean of those that have one', () => {
    const machine = makeMachine({
      ...cpu(0, '2000000\n'),
      ...cpu(1, '3000000\n'),
      ...cpu(2, '<unknown>\n'),
      'sys/devices/system/cpu/cpu3/online': '0\n',
    })
    const frequency = opened(openFrequency(machine.options))
    expect(table(frequency.read(machine.tick()))).toEqual({
      'node cpu_frequency': 2.5e9,
      'node cpu_frequency_max': 3.5e9,
    })
    for (const number of [0, 1]) machine.write(`sys/devices/system/cpu/cpu${number}/cpufreq/scaling_cur_freq`, '0')
    expect(() => frequency.read(machine.tick())).toThrow('no CPU tells its clock')
  })

  it('asks few CPUs once a minute where each takes its time to answer', () => {
    const machine = makeMachine(
      Object.assign({}, ...Array.from({ length: 16 }, (_, i) => cpu(i, `${1_000_000 + i * 1000}\n`))),
    )
    let clock = 0
    const slow = () => {
      clock += 10
      return clock
    }
    const frequency = opened(openFrequency(machine.options, slow))
    expect(table(frequency.read(machine.tick()))).toHaveProperty('node cpu_frequency', 1.006e9) // CPUs 0, 4, 8, 12
    expect(frequency.read(machine.tick(10_000))).toEqual([])
    expect(frequency.read(machine.tick(50_000))).toHaveLength(2)
  })

  it('is absent where the kernel does not set it', () => {
    expect(openFrequency(makeMachine({}).options)).toEqual({ absent: expect.stringContaining('cpufreq') })
  })

  it('spreads the CPUs that are asked evenly', () => {
    const all = Array.from({ length: 10 }, (_, i) => i)
    expect(spread(all, 5)).toEqual([0, 2, 4, 6, 8])
    expect(spread(all, 64)).toEqual(all)
    expect(spread([], 4)).toEqual([])
  })
})
