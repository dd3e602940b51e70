import { mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openInfiniband, parseCounter, parseRate } from '../../collector/sources/infiniband.ts'
import { type Machine, makeMachine, opened, partsOf, table } from './machine.ts'

type Counts = Readonly<Record<string, number | string>>

/** Files of a port; names of counters as in Documentation/ABI/stable/sysfs-class-infiniband. */
const port = (card: string, counts: Counts, state = '4: ACTIVE', rate = '200 Gb/sec (4X HDR)', number = 1) => {
  const top = `sys/class/infiniband/${card}/ports/${number}`
  const files: Record<string, string> = { [`${top}/state`]: `${state}\n`, [`${top}/rate`]: `${rate}\n` }
  for (const [name, value] of Object.entries(counts)) {
    files[`${top}/${name.includes('/') ? name : `counters/${name}`}`] = `${value}\n`
  }
  return files
}
const writeAll = (machine: Machine, files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) machine.write(path, text)
}
const traffic = (n: number, more: Counts = {}): Counts => ({
  port_rcv_data: 1000 + n * 250,
  port_xmit_data: 2000 + n * 500,
  port_rcv_packets: n * 10,
  port_xmit_packets: n * 20,
  ...more,
})

describe('InfiniBand', () => {
  it('counts lanes of 4 bytes, errors, waits and the link of each port, and sums them for the node', () => {
    const at = (n: number) => ({
      ...port('mlx5_0', {
        ...traffic(n),
        port_rcv_errors: n,
        symbol_error: 2 * n,
        port_xmit_discards: 0,
        port_xmit_wait: 5000 * n,
        link_downed: n,
        link_error_recovery: 0,
        local_link_integrity_errors: 0,
        'hw_counters/out_of_sequence': 3 * n,
        'hw_counters/packet_seq_err': n,
        'hw_counters/np_cnp_sent': 7 * n,
      }),
      ...port('mlx5_1', traffic(2 * n), '4: ACTIVE', '100 Gb/sec (4X EDR)'),
      ...port('mlx5_2', traffic(0), '1: DOWN', '10 Gb/sec (4X SDR)'),
    })
    const machine = makeMachine(at(0))
    const infiniband = opened(openInfiniband(machine.options))
    infiniband.read(machine.tick())
    writeAll(machine, at(10))
    expect(table(infiniband.read(machine.tick(10_000)))).toEqual({
      'interface mlx5_0/1 receive_bytes': 1000,
      'interface mlx5_0/1 transmit_bytes': 2000,
      'interface mlx5_0/1 receive_packets': 10,
      'interface mlx5_0/1 transmit_packets': 20,
      'interface mlx5_0/1 link_up': 1,
      'interface mlx5_0/1 link_bytes': 25e9,
      'interface mlx5_0/1 receive_errors': 3,
      'interface mlx5_0/1 transmit_errors': 0,
      'interface mlx5_0/1 transmit_waits': 5000,
      'interface mlx5_0/1 link_failures': 1,
      'interface mlx5_0/1 retransmissions': 4,
      'interface mlx5_0/1 congestion_notices': 7,
      'interface mlx5_1/1 receive_bytes': 2000,
      'interface mlx5_1/1 transmit_bytes': 4000,
      'interface mlx5_1/1 receive_packets': 20,
      'interface mlx5_1/1 transmit_packets': 40,
      'interface mlx5_1/1 link_up': 1,
      'interface mlx5_1/1 link_bytes': 12.5e9,
      'interface mlx5_2/1 link_up': 0,
      'node fabric_ports_active': 2,
      'node fabric_receive_bytes': 3000,
      'node fabric_transmit_bytes': 6000,
      'node fabric_errors': 4,
    })
  })

  it('reads what seldom moves every 10 s, also where a tick is a second', () => {
    const at = (n: number) => port('mlx5_0', traffic(n, { port_rcv_errors: n }))
    const machine = makeMachine(at(0))
    const infiniband = opened(openInfiniband(machine.options))
    const seen: number[] = []
    for (let second = 0; second <= 20; second++) {
      writeAll(machine, at(second))
      const value = table(infiniband.read(machine.tick()))['interface mlx5_0/1 receive_errors']
      if (value !== undefined) seen.push(value)
    }
    expect(seen).toEqual([1, 1])
  })

  it('counts flits of 8 bytes on Omni-Path, whatever the card is called', () => {
    const at = (n: number) => port('opap129s0', traffic(n), '4: ACTIVE', '100 Gb/sec (4X EDR)')
    const machine = makeMachine(at(0))
    const device = join(machine.options.roots.sys, 'class/infiniband/opap129s0/device')
    mkdirSync(device)
    symlinkSync('../../../../bus/pci/drivers/hfi1', join(device, 'driver'))
    const infiniband = opened(openInfiniband(machine.options))
    infiniband.read(machine.tick())
    writeAll(machine, at(1))
    expect(table(infiniband.read(machine.tick()))).toMatchObject({ 'interface opap129s0/1 receive_bytes': 250 * 8 })
  })

  it('takes the 64 bit counters of old kernels, and the bytes that a driver counts of its own', () => {
    const at = (n: number) => ({
      ...port('mlx4_0', { port_rcv_data: 2 ** 32 - 1, 'counters_ext/port_rcv_data_64': 9e9 + n * 100 }),
      ...port('rdmap0s6', { 'hw_counters/rx_bytes': n * 5000, 'hw_counters/tx_bytes': n, 'hw_counters/rx_drops': n }),
      ...port('ionic_0', { 'hw_counters/rx_rdma_ucast_bytes': n * 10, 'hw_counters/rx_rdma_mcast_bytes': n }),
    })
    const machine = makeMachine(at(0))
    const infiniband = opened(openInfiniband(machine.options))
    infiniband.read(machine.tick())
    writeAll(machine, at(1))
    expect(table(infiniband.read(machine.tick()))).toMatchObject({
      'interface mlx4_0/1 receive_bytes': 400,
      'interface rdmap0s6/1 receive_bytes': 5000,
      'interface ionic_0/1 receive_bytes': 11,
    })
  })

  it('leaves a port out whose counter has stopped at its end or cannot be read, and with it the sum; others go on', () => {
    const at = (n: number, bad: number | string) => ({
      ...port('mlx5_0', traffic(n)),
      ...port('mlx5_1', traffic(n, { port_rcv_data: bad })),
    })
    for (const [bad, why] of [
      [2 ** 32 - 1, /mlx5_1\/1: port_rcv_data has reached its end: clear it with perfquery -R/],
      ['N/A (no PMA)', /mlx5_1\/1: port_rcv_data is no number: N\/A/],
      ['', /port_rcv_data is no number/],
    ] as const) {
      const machine = makeMachine(at(0, 5))
      const infiniband = opened(openInfiniband(machine.options))
      infiniband.read(machine.tick())
      writeAll(machine, at(4, bad))
      const { told, problem } = partsOf(infiniband, machine.tick())
      expect(problem).toMatch(why)
      expect(told).toMatchObject({
        'interface mlx5_0/1 receive_bytes': 4000,
        'interface mlx5_1/1 transmit_bytes': 8000,
      })
      expect(told).not.toHaveProperty('interface mlx5_1/1 receive_bytes')
      expect(told).not.toHaveProperty('node fabric_receive_bytes')
      expect(told).toHaveProperty('node fabric_transmit_bytes')
    }
  })

  it('says nothing of a card whose directory is gone but that it is', () => {
    const machine = makeMachine({ ...port('mlx5_0', traffic(0)), ...port('mlx5_1', traffic(0)) })
    const infiniband = opened(openInfiniband(machine.options))
    infiniband.read(machine.tick())
    rmSync(join(machine.options.roots.sys, 'class/infiniband/mlx5_1'), { recursive: true })
    machine.options.files.close()
    const { told, problem } = partsOf(infiniband, machine.tick())
    expect(told).toHaveProperty('interface mlx5_0/1 receive_bytes')
    expect(told).not.toHaveProperty('interface mlx5_1/1 link_up')
    expect(problem).toContain('mlx5_1/1')
  })

  it('is absent where there is no card, and where its driver counts nothing', () => {
    expect(openInfiniband(makeMachine({}).options)).toEqual({ absent: expect.stringContaining('no card') })
    const siw = makeMachine(port('siw0', { port_rcv_data: 'N/A (no PMA)', port_xmit_data: 'N/A (no PMA)' }))
    expect(openInfiniband(siw.options)).toEqual({ absent: 'the driver of siw0 has no counters in sysfs' })
  })
})

describe('Slingshot', () => {
  it('counts octets, each with the time it was counted', () => {
    const at = (n: number) => ({
      'sys/class/cxi/cxi0/device/telemetry/hni_sts_rx_ok_octets': `${5000 + n * 700}@1672531200.123456789\n`,
      'sys/class/cxi/cxi0/device/telemetry/hni_sts_tx_ok_octets': `${n * 900}@1672531200.123456789\n`,
    })
    const machine = makeMachine(at(0))
    const infiniband = opened(openInfiniband(machine.options))
    infiniband.read(machine.tick())
    writeAll(machine, at(2))
    expect(table(infiniband.read(machine.tick(2000)))).toEqual({
      'interface cxi0/1 receive_bytes': 700,
      'interface cxi0/1 transmit_bytes': 900,
      'node fabric_receive_bytes': 700,
      'node fabric_transmit_bytes': 900,
      'node fabric_ports_active': 1,
    })
  })
})

it('reads rates and counters of every form', () => {
  expect([parseRate('2.5 Gb/sec (1X SDR)'), parseRate('400 Gb/sec (4X NDR)'), parseRate('')]).toEqual([
    312_500_000,
    50e9,
    undefined,
  ])
  expect([parseCounter('12\n'), parseCounter('12@3.5'), parseCounter('x'), parseCounter('')]).toEqual([
    12,
    12,
    undefined,
    undefined,
  ])
})
