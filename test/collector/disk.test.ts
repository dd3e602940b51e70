import { describe, expect, it } from 'vitest'
import { openDisk, parseDiskstats } from '../../collector/sources/disk.ts'
import { captured, makeMachine, opened, table } from './machine.ts'

/** name, reads, sectors read, ms read, writes, sectors written, ms written, ms busy */
type Row = [string, number, number, number, number, number, number, number]
const diskstats = (...rows: Row[]) =>
  rows
    .map(([name, reads, rsect, rms, writes, wsect, wms, busy]) =>
      [' 259       0', name, reads, 0, rsect, rms, writes, 0, wsect, wms, 0, busy, rms + wms, 0, 0, 0, 0, 0, 0].join(
        ' ',
      ),
    )
    .join('\n')
    .concat('\n')

/** A storage node: two NVMe in a mirror, LVM on it, a multipath namespace, loop and ram devices. */
const bigIron = (t: number) =>
  diskstats(
    ['nvme0n1', 100 + t * 10, 800 + t * 100, t * 200, 50, 400, 0, t * 500],
    ['nvme0n1p1', 100 + t * 10, 800 + t * 100, 0, 50, 400, 0, t * 500],
    ['nvme1n1', 100, 800, 0, 50 + t * 20, 400 + t * 200, t * 1000, t * 250],
    ['nvme2c2n1', 7 + t, 70 + t * 10, 0, 0, 0, 0, 0],
    ['nvme2n1', 7 + t, 70 + t * 10, 0, 0, 0, 0, 0],
    ['nvme3c3n1', 9 + t, 90 + t * 30, 0, 0, 0, 0, 0],
    ['nvme3n1', 0, 0, 0, 0, 0, 0, 0],
    ['md127', 5 + t * 10, 40 + t * 100, 0, 5, 40, 0, 0],
    ['dm-0', 5 + t * 10, 40 + t * 100, 0, 5, 40, 0, t * 900],
    ['loop0', 9 + t, 9 + t, 0, 0, 0, 0, t],
    ['ram0', 9 + t, 9 + t, 0, 0, 0, 0, t],
    ['sr0', 0, 0, 0, 0, 0, 0, 0],
  )
const WHOLE = [
  'nvme0n1',
  'nvme1n1',
  'nvme2c2n1',
  'nvme2n1',
  'nvme3c3n1',
  'nvme3n1',
  'md127',
  'dm-0',
  'loop0',
  'ram0',
  'sr0',
]
const sysBlock = Object.fromEntries(WHOLE.map(name => [`sys/block/${name}/size`, '0\n']))

const disksIn = (readings: Record<string, number>) => [
  ...new Set(
    Object.keys(readings)
      .filter(key => key.startsWith('disk '))
      .map(key => key.split(' ')[1]),
  ),
]

describe('/proc/diskstats', () => {
  it('gives bytes, operations, queue and utilisation a disk, by the real time passed', () => {
    const machine = makeMachine({ 'proc/diskstats': diskstats(['sda', 10, 100, 30, 20, 200, 60, 500]) })
    const disk = opened(openDisk(machine.options))
    expect(disk.read(machine.tick())).toEqual([])
    machine.write('proc/diskstats', diskstats(['sda', 30, 180, 1030, 60, 1800, 4060, 1500]))
    expect(table(disk.read(machine.tick(2000)))).toEqual({
      'disk sda read_bytes': (80 * 512) / 2,
      'disk sda read_operations': 10,
      'disk sda read_queue': 0.5,
      'disk sda write_bytes': (1600 * 512) / 2,
      'disk sda write_operations': 20,
      'disk sda write_queue': 2,
      'disk sda utilization': 0.5,
      'node disk_read_bytes': (80 * 512) / 2,
      'node disk_read_operations': 10,
      'node disk_write_bytes': (1600 * 512) / 2,
      'node disk_write_operations': 20,
      'node disk_utilization': 0.5,
    })
  })

  it('shows whole disks and the layers on them, and counts the I/O of the node once', () => {
    const machine = makeMachine({ 'proc/diskstats': bigIron(0), ...sysBlock })
    const disk = opened(openDisk(machine.options))
    disk.read(machine.tick())
    machine.write('proc/diskstats', bigIron(1))
    const readings = table(disk.read(machine.tick()))
    expect(disksIn(readings)).toEqual(['nvme0n1', 'nvme1n1', 'nvme2c2n1', 'nvme2n1', 'nvme3c3n1', 'md127', 'dm-0'])
    expect(readings).toMatchObject({
      'disk dm-0 read_bytes': 51_200,
      'disk md127 read_bytes': 51_200,
      // nvme0n1 100 sectors, nvme2n1 10 (not its path again), nvme3c3n1 30: its head counts nothing on this kernel
      'node disk_read_bytes': (100 + 10 + 30) * 512,
      'node disk_write_bytes': 200 * 512,
      // the busiest disk, not dm-0 at 0.9
      'node disk_utilization': 0.5,
    })
  })

  it('knows partitions by their name where there is no sysfs', () => {
    const names = [
      'sda',
      'sda1',
      'vda',
      'vda15',
      'nvme0n1',
      'nvme0n1p2',
      'mmcblk0',
      'mmcblk0p1',
      'md127',
      'md127p1',
      'dm-3',
    ]
    const at = (t: number) => diskstats(...names.map((name): Row => [name, t, t, t, t, t, t, t]))
    const machine = makeMachine({ 'proc/diskstats': at(1) })
    const disk = opened(openDisk(machine.options))
    disk.read(machine.tick())
    machine.write('proc/diskstats', at(2))
    expect(disksIn(table(disk.read(machine.tick())))).toEqual(['sda', 'vda', 'nvme0n1', 'mmcblk0', 'md127', 'dm-3'])
  })

  it('reads the captured machine: 64 MiB were written to vda; loop and zram devices are not shown', () => {
    const machine = makeMachine({ 'proc/diskstats': captured('vm-2-cores', 'before/diskstats') })
    const disk = opened(openDisk(machine.options))
    disk.read(machine.tick())
    machine.write('proc/diskstats', captured('vm-2-cores', 'after/diskstats'))
    const readings = table(disk.read(machine.tick(5000)))
    expect(disksIn(readings)).toEqual(['vda'])
    expect(readings['disk vda write_bytes']).toBe(((7_086_800 - 6_953_824) * 512) / 5)
    expect(readings['disk vda utilization']).toBeCloseTo((18_632 - 18_584) / 5000)
  })

  it('leaves a disk out for the tick in which its counters fell, and with it the totals it is part of', () => {
    const machine = makeMachine({
      'proc/diskstats': diskstats(['sda', 90, 90, 9, 9, 9, 9, 9], ['sdb', 1, 1, 1, 1, 1, 1, 1]),
    })
    const disk = opened(openDisk(machine.options))
    disk.read(machine.tick())
    machine.write('proc/diskstats', diskstats(['sda', 2, 2, 9, 9, 9, 9, 9], ['sdb', 2, 2, 1, 1, 1, 1, 1]))
    const readings = table(disk.read(machine.tick()))
    expect(readings).not.toHaveProperty('disk sda read_bytes')
    expect(readings).not.toHaveProperty('node disk_read_bytes')
    expect(readings).toMatchObject({ 'disk sdb read_bytes': 512, 'node disk_write_bytes': 0 })
  })

  it('sees a disk come and go', () => {
    const sda: Row = ['sda', 1, 1, 1, 1, 1, 1, 1]
    const machine = makeMachine({ 'proc/diskstats': diskstats(sda) })
    const disk = opened(openDisk(machine.options))
    const next = (...rows: Row[]) => {
      machine.write('proc/diskstats', diskstats(...rows))
      return disksIn(table(disk.read(machine.tick())))
    }
    disk.read(machine.tick())
    expect(next(sda, ['sdb', 5, 5, 5, 5, 5, 5, 5])).toEqual(['sda'])
    expect(next(sda, ['sdb', 6, 6, 6, 6, 6, 6, 6])).toEqual(['sda', 'sdb'])
    expect(next(sda)).toEqual(['sda'])
  })

  it('reads lines of other kernels: 14, 18 and 20 columns; a partition with 4 has no place', () => {
    const disks = parseDiskstats(
      '   8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8 16 sdb 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n   8 1 sda1 10 20 30 40\n',
    )
    expect([...disks.keys()]).toEqual(['sda', 'sdb'])
    expect(disks.get('sda')).toEqual({
      reads: 1,
      readSectors: 3,
      readMs: 4,
      writes: 5,
      writtenSectors: 7,
      writeMs: 8,
      busyMs: 10,
    })
  })

  it('takes a machine without disks for what it is, and refuses what is no diskstats', () => {
    expect(parseDiskstats('').size).toBe(0)
    expect(() => parseDiskstats('8 0 sda 1 2')).toThrow(/no line of a disk/)
    expect(() => parseDiskstats('8 0 sda a b c d e f g h i j k\n')).toThrow(/no line of a disk/)
  })
})
