/** Mounted file systems: how full they are, and what goes through those that are on servers. */
import { gauge, type Metric, rate, summed } from '../metric.ts'

const STATFS = 'statfs(2)'
const CLIENT = 'NFS: /proc/self/mountstats; Lustre: llite/*/stats; GPFS: mmpmon'
const SERVER = 'NFS: /proc/self/mountstats; Lustre: osc/*/stats'

const space = (column: string, state: string, meaning: string): Metric =>
  gauge(
    'filesystem',
    'system.filesystem.usage',
    { 'system.filesystem.state': state },
    { column, unit: 'bytes', full: 'total_bytes', overTime: 'last', meaning, source: STATFS },
  )

const io = (direction: 'read' | 'write'): Metric[] => [
  rate(
    'filesystem',
    'jobsight.filesystem.io',
    { 'disk.io.direction': direction },
    {
      column: `${direction}_bytes`,
      unit: 'bytes/s',
      onNode: { column: `filesystem_${direction}_bytes`, how: 'sum' },
      meaning: `bytes that programs ${direction} a second, also those that the page cache served; of file systems on servers`,
      source: CLIENT,
    },
  ),
  rate(
    'filesystem',
    'jobsight.filesystem.server.io',
    { 'disk.io.direction': direction },
    {
      column: `server_${direction}_bytes`,
      unit: 'bytes/s',
      meaning: `bytes a second ${direction === 'read' ? 'that came from' : 'that went to'} the servers`,
      source: SERVER,
    },
  ),
  operations(direction, `${direction}s a second: NFS requests, Lustre system calls`),
]

function operations(which: 'read' | 'write' | 'metadata', meaning: string): Metric {
  return rate(
    'filesystem',
    'jobsight.filesystem.operations',
    { 'jobsight.filesystem.operation': which },
    {
      column: `${which}_operations`,
      unit: '1/s',
      scale: 10,
      ...(which === 'metadata'
        ? { onNode: { column: 'filesystem_metadata_operations', how: 'sum' } as const }
        : undefined),
      meaning,
      source: CLIENT,
    },
  )
}

export const FILESYSTEM_METRICS: readonly Metric[] = [
  gauge('filesystem', 'system.filesystem.limit', undefined, {
    column: 'total_bytes',
    unit: 'bytes',
    overTime: 'last',
    meaning: 'size of the file system',
    source: STATFS,
  }),
  space('used_bytes', 'used', 'used'),
  space('available_bytes', 'free', 'free for users; what is reserved for root is not in it'),
  gauge('filesystem', 'system.filesystem.utilization', undefined, {
    column: 'utilization',
    unit: 'ratio',
    full: 1,
    onNode: { column: 'filesystem_utilization', how: 'max' },
    meaning: 'used, share of what is used and what users can still have, as df shows it',
    source: STATFS,
  }),
  gauge('filesystem', 'jobsight.filesystem.inodes.limit', undefined, {
    column: 'inodes_total',
    unit: '1',
    overTime: 'last',
    meaning: 'inodes there are: so many files can there be',
    source: STATFS,
  }),
  gauge(
    'filesystem',
    'system.filesystem.inodes.usage',
    { 'system.filesystem.state': 'used' },
    {
      column: 'inodes_used',
      unit: '1',
      full: 'inodes_total',
      overTime: 'last',
      meaning: 'inodes in use',
      source: STATFS,
    },
  ),
  gauge('filesystem', 'jobsight.filesystem.stuck', undefined, {
    column: 'stuck',
    unit: '1',
    overTime: 'max',
    onNode: { column: 'filesystem_stuck', how: 'sum' },
    meaning: '1 while the file system does not answer',
    source: STATFS,
  }),
  ...io('read'),
  ...io('write'),
  operations('metadata', 'every other operation a second: open, stat, create, unlink, lookup …'),
  rate('filesystem', 'jobsight.filesystem.operation_time', undefined, {
    column: 'queue',
    unit: '1',
    scale: 1000,
    meaning: 'mean number of operations that are being waited for (time spent in them a second)',
    source: CLIENT,
  }),
  rate('filesystem', 'jobsight.filesystem.retransmissions', undefined, {
    column: 'retransmissions',
    unit: '1/s',
    scale: 1000,
    meaning: 'requests sent again a second, since the server did not answer',
    source: '/proc/self/mountstats',
  }),

  summed(
    'filesystem_utilization',
    'ratio',
    10_000,
    'the fullest file system: used, share of what users can have',
    STATFS,
    {
      full: 1,
    },
  ),
  summed('filesystem_stuck', '1', 1, 'file systems that do not answer', STATFS, { overTime: 'max' }),
  summed(
    'filesystem_read_bytes',
    'bytes/s',
    1,
    'bytes a second that programs read from file systems on servers',
    CLIENT,
  ),
  summed(
    'filesystem_write_bytes',
    'bytes/s',
    1,
    'bytes a second that programs write to file systems on servers',
    CLIENT,
  ),
  summed(
    'filesystem_metadata_operations',
    '1/s',
    10,
    'open, stat, create, unlink, lookup … a second on file systems on servers',
    CLIENT,
  ),
]
