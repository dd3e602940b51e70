import { describe, expect, it } from 'vitest'
import { openNetwork, parseNetDev } from '../../collector/sources/network.ts'
import { captured, makeMachine, opened, table } from './machine.ts'

const HEAD = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
`
/** name, bytes in, packets in, errors in, drops in, bytes out, packets out, errors out, drops out */
type Row = [string, ...number[]]
const netDev = (...rows: Row[]) =>
  HEAD +
  rows
    .map(
      ([name, rb = 0, rp = 0, re = 0, rd = 0, tb = 0, tp = 0, te = 0, td = 0]) =>
        `${name.padStart(6)}: ${rb} ${rp} ${re} ${rd} 0 0 0 0 ${tb} ${tp} ${te} ${td} 0 0 0 0`,
    )
    .join('\n')
    .concat('\n')

const shown = (readings: Record<string, number>) => [
  ...new Set(
    Object.keys(readings)
      .filter(key => key.startsWith('interface '))
      .map(key => key.split(' ')[1]),
  ),
]
const card = (name: string) => ({ [`sys/class/net/${name}/device/vendor`]: '0x15b3\n' })

describe('/proc/net/dev', () => {
  it('gives bytes, packets, errors and drops both ways, by the real time passed', () => {
    const machine = makeMachine({ 'proc/net/dev': netDev(['eth0', 100, 10, 1, 2, 200, 20, 3, 4]), ...card('eth0') })
    const network = opened(openNetwork(machine.options))
    expect(network.read(machine.tick())).toEqual([])
    machine.write('proc/net/dev', netDev(['eth0', 300, 30, 3, 6, 1200, 40, 3, 5]))
    expect(table(network.read(machine.tick(2000)))).toEqual({
      'interface eth0 receive_bytes': 100,
      'interface eth0 receive_packets': 10,
      'interface eth0 receive_errors': 1,
      'interface eth0 receive_dropped': 2,
      'interface eth0 transmit_bytes': 500,
      'interface eth0 transmit_packets': 10,
      'interface eth0 transmit_errors': 0,
      'interface eth0 transmit_dropped': 0.5,
      'node network_receive_bytes': 100,
      'node network_receive_errors': 1,
      'node network_receive_dropped': 2,
      'node network_transmit_bytes': 500,
      'node network_transmit_errors': 0,
      'node network_transmit_dropped': 0.5,
    })
  })

  it('has what the link of a card can carry, and leaves it out where the link is down', () => {
    const rows = (t: number): Row[] => [
      ['eth0', t],
      ['eth1', t],
      ['bond0', t],
    ]
    const speed = (name: string, text: string) => ({ [`sys/class/net/${name}/speed`]: text })
    const machine = makeMachine({
      'proc/net/dev': netDev(...rows(0)),
      ...card('eth0'),
      ...speed('eth0', '25000\n'),
      ...card('eth1'),
      ...speed('eth1', '-1\n'),
      ...speed('bond0', '50000\n'),
    })
    const network = opened(openNetwork(machine.options))
    network.read(machine.tick())
    const links = (after?: number) =>
      Object.entries(table(network.read(machine.tick(after)))).filter(([key]) => key.endsWith('link_bytes'))
    expect(links()).toEqual([['interface eth0 link_bytes', 25e9 / 8]])
    machine.write('sys/class/net/eth1/speed', '100000\n')
    expect(links(300_000)).toContainEqual(['interface eth1 link_bytes', 100e9 / 8])
  })

  it('counts bonded cards, VLANs and bridges once: where the hardware is', () => {
    const at = (t: number) =>
      netDev(
        ['lo', t * 9999],
        ['eno1', t * 100],
        ['eno2', t * 20],
        ['bond0', t * 120],
        ['bond0.42', t * 120],
        ['br-data', t * 120],
        ['ib0', t * 3000],
        ['docker0', t * 7],
        ['veth12ab34c', t * 7],
      )
    const machine = makeMachine({ 'proc/net/dev': at(1), ...card('eno1'), ...card('eno2'), ...card('ib0') })
    const network = opened(openNetwork(machine.options))
    network.read(machine.tick())
    machine.write('proc/net/dev', at(2))
    const readings = table(network.read(machine.tick()))
    expect(shown(readings)).toEqual(['lo', 'eno1', 'eno2', 'bond0', 'bond0.42', 'br-data', 'ib0', 'docker0'])
    expect(readings['node network_receive_bytes']).toBe(3120)
  })

  it('counts a container by what is neither loopback nor a layer', () => {
    const at = (t: number) => netDev(['lo', t * 10], ['eth0', t * 100], ['eth0.7', t * 50])
    const machine = makeMachine({ 'proc/net/dev': at(1) })
    const network = opened(openNetwork(machine.options))
    network.read(machine.tick())
    machine.write('proc/net/dev', at(2))
    expect(table(network.read(machine.tick()))['node network_receive_bytes']).toBe(100)
  })

  it("reads the host's network where the host's /proc is mounted elsewhere", () => {
    const machine = makeMachine({ 'proc/net/dev': netDev(['eth0', 1]), 'proc/1/net/dev': netDev(['eno1', 1]) })
    const network = opened(openNetwork(machine.options))
    network.read(machine.tick())
    expect(shown(table(network.read(machine.tick())))).toEqual(['eno1'])
  })

  it('leaves an interface out for the tick in which its counters fell, with its part of the totals', () => {
    const machine = makeMachine({
      'proc/net/dev': netDev(['eth0', 500, 5], ['eth1', 5]),
      ...card('eth0'),
      ...card('eth1'),
    })
    const network = opened(openNetwork(machine.options))
    network.read(machine.tick())
    machine.write('proc/net/dev', netDev(['eth0', 100, 6], ['eth1', 15]))
    const readings = table(network.read(machine.tick()))
    expect(readings).not.toHaveProperty('interface eth0 receive_bytes')
    expect(readings).not.toHaveProperty('node network_receive_bytes')
    expect(readings).toMatchObject({ 'interface eth0 receive_packets': 1, 'interface eth1 receive_bytes': 10 })
    machine.write('proc/net/dev', netDev(['eth0', 107, 6], ['eth1', 15]))
    expect(table(network.read(machine.tick()))['node network_receive_bytes']).toBe(7)
  })

  it('reads the captured machine: loopback and one virtio card; ifb devices are not shown', () => {
    const machine = makeMachine({ 'proc/net/dev': captured('vm-2-cores', 'before/net/dev'), ...card('eth0') })
    const network = opened(openNetwork(machine.options))
    network.read(machine.tick())
    machine.write('proc/net/dev', captured('vm-2-cores', 'after/net/dev'))
    expect(shown(table(network.read(machine.tick(5000))))).toEqual(['lo', 'eth0'])
  })

  it('reads a counter glued to its colon, an alias, and 2^53 and more', () => {
    const interfaces = parseNetDev(
      `${HEAD}eth0:18446744073709551615 1 0 0 0 0 0 0 2 3 0 0 0 0 0 0\neth0:1: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n`,
    )
    expect([...interfaces.keys()]).toEqual(['eth0', 'eth0:1'])
    expect(interfaces.get('eth0')?.[0]).toBe(2 ** 64)
  })

  it('leaves out a line that is cut short, refuses a file that has none', () => {
    expect([...parseNetDev(`${HEAD}eth0: 1 2 3\neth1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n`).keys()]).toEqual([
      'eth1',
    ])
    expect(() => parseNetDev('')).toThrow(/no interface/)
    expect(parseNetDev(HEAD).size).toBe(0)
  })
})
