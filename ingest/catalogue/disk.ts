/** Block devices, and all of them together. */
import { type Metric, rate, summed, whole } from '../metric.ts'

const diskIo = (direction: 'read' | 'write'): Metric[] => [
  rate(
    'disk',
    'system.disk.io',
    { 'disk.io.direction': direction },
    {
      column: `${direction}_bytes`,
      unit: 'bytes/s',
      onNode: { column: `disk_${direction}_bytes`, how: 'sum' },
      meaning: `bytes ${direction} a second`,
      source: '/proc/diskstats',
    },
  ),
  rate(
    'disk',
    'system.disk.operations',
    { 'disk.io.direction': direction },
    {
      column: `${direction}_operations`,
      unit: '1/s',
      scale: 10,
      onNode: { column: `disk_${direction}_operations`, how: 'sum' },
      meaning: `${direction}s completed a second`,
      source: '/proc/diskstats',
    },
  ),
  rate(
    'disk',
    'system.disk.operation_time',
    { 'disk.io.direction': direction },
    {
      column: `${direction}_queue`,
      unit: '1',
      scale: 1000,
      meaning: `mean number of ${direction}s in flight (time spent in ${direction}s a second)`,
      source: '/proc/diskstats',
    },
  ),
]

export const DISK_METRICS: readonly Metric[] = [
  summed('disk_read_bytes', 'bytes/s', 1, 'bytes read a second, all disks', '/proc/diskstats', {
    arrives: whole('jobsight.disk.io', 'disk.io.direction', 'read'),
  }),
  summed('disk_write_bytes', 'bytes/s', 1, 'bytes written a second, all disks', '/proc/diskstats', {
    arrives: whole('jobsight.disk.io', 'disk.io.direction', 'write'),
  }),
  summed('disk_read_operations', '1/s', 10, 'reads a second, all disks', '/proc/diskstats', {
    arrives: whole('jobsight.disk.operations', 'disk.io.direction', 'read'),
  }),
  summed('disk_write_operations', '1/s', 10, 'writes a second, all disks', '/proc/diskstats', {
    arrives: whole('jobsight.disk.operations', 'disk.io.direction', 'write'),
  }),
  summed('disk_utilization', 'ratio', 10_000, 'busiest disk: share of time with I/O in flight', '/proc/diskstats', {
    full: 1,
    arrives: [{ name: 'jobsight.disk.utilization' }],
  }),
  ...diskIo('read'),
  ...diskIo('write'),
  rate('disk', 'system.disk.io_time', undefined, {
    column: 'utilization',
    unit: 'ratio',
    full: 1,
    onNode: { column: 'disk_utilization', how: 'max' },
    meaning: 'share of time with I/O in flight (an SSD at 1 can still take more)',
    source: '/proc/diskstats',
  }),
]
