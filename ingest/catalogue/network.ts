/** Network interfaces, and all of them together. */
import { type Metric, rate, summed, whole } from '../metric.ts'

const networkIo = (direction: 'receive' | 'transmit'): Metric[] => [
  rate(
    'interface',
    'system.network.io',
    { 'network.io.direction': direction },
    {
      column: `${direction}_bytes`,
      unit: 'bytes/s',
      full: 'link_bytes',
      onNode: { column: `network_${direction}_bytes`, how: 'sum' },
      meaning: `bytes ${direction === 'receive' ? 'in' : 'out'} a second`,
      source: '/proc/net/dev',
    },
  ),
  rate(
    'interface',
    'system.network.packet.count',
    { 'network.io.direction': direction },
    {
      column: `${direction}_packets`,
      unit: '1/s',
      meaning: `packets ${direction === 'receive' ? 'in' : 'out'} a second`,
      source: '/proc/net/dev',
    },
  ),
  rate(
    'interface',
    'system.network.errors',
    { 'network.io.direction': direction },
    {
      column: `${direction}_errors`,
      unit: '1/s',
      scale: 1000,
      onNode: { column: `network_${direction}_errors`, how: 'sum' },
      meaning: `${direction} errors a second`,
      source: '/proc/net/dev',
    },
  ),
  rate(
    'interface',
    'system.network.packet.dropped',
    { 'network.io.direction': direction },
    {
      column: `${direction}_dropped`,
      unit: '1/s',
      scale: 1000,
      onNode: { column: `network_${direction}_dropped`, how: 'sum' },
      meaning: `packets dropped on ${direction} a second`,
      source: '/proc/net/dev',
    },
  ),
]

export const NETWORK_METRICS: readonly Metric[] = [
  summed('network_receive_bytes', 'bytes/s', 1, 'bytes in a second, all interfaces but lo', '/proc/net/dev', {
    arrives: whole('jobsight.network.io', 'network.io.direction', 'receive'),
  }),
  summed('network_transmit_bytes', 'bytes/s', 1, 'bytes out a second, all interfaces but lo', '/proc/net/dev', {
    arrives: whole('jobsight.network.io', 'network.io.direction', 'transmit'),
  }),
  summed('network_receive_errors', '1/s', 1000, 'receive errors a second, all interfaces', '/proc/net/dev', {
    arrives: whole('jobsight.network.errors', 'network.io.direction', 'receive'),
  }),
  summed('network_transmit_errors', '1/s', 1000, 'transmit errors a second, all interfaces', '/proc/net/dev', {
    arrives: whole('jobsight.network.errors', 'network.io.direction', 'transmit'),
  }),
  summed(
    'network_receive_dropped',
    '1/s',
    1000,
    'packets dropped on receive a second, all interfaces',
    '/proc/net/dev',
    { arrives: whole('jobsight.network.dropped', 'network.io.direction', 'receive') },
  ),
  summed(
    'network_transmit_dropped',
    '1/s',
    1000,
    'packets dropped on transmit a second, all interfaces',
    '/proc/net/dev',
    { arrives: whole('jobsight.network.dropped', 'network.io.direction', 'transmit') },
  ),
  ...networkIo('receive'),
  ...networkIo('transmit'),
]
