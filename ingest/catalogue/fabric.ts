/** Ports of the fast network: InfiniBand, RoCE, Omni-Path, Slingshot, EFA. Their traffic passes the kernel's network by. */
import { gauge, type Metric, rate, summed } from '../metric.ts'

const PORTS = '/sys/class/infiniband/*/ports/*/counters, hw_counters; /sys/class/cxi/*/device/telemetry'

const happening = (column: string, meaning: string, more: Partial<Metric> = {}): Metric =>
  rate('interface', `jobsight.fabric.${column}`, undefined, {
    column,
    unit: '1/s',
    scale: 1000,
    meaning,
    source: PORTS,
    ...more,
  })

const total = (direction: 'receive' | 'transmit'): Metric =>
  summed(
    `fabric_${direction}_bytes`,
    'bytes/s',
    1,
    `bytes ${direction === 'receive' ? 'in' : 'out'} a second, all ports of the fast network; IP over it is in it`,
    PORTS,
    { arrives: [{ name: 'jobsight.fabric.io', attributes: { 'network.io.direction': direction } }] },
  )

export const FABRIC_METRICS: readonly Metric[] = [
  gauge('interface', 'system.network.limit', undefined, {
    column: 'link_bytes',
    unit: 'bytes/s',
    overTime: 'last',
    meaning: 'what the link can carry a second in one direction',
    source: '/sys/class/net/*/speed; /sys/class/infiniband/*/ports/*/rate',
  }),
  gauge('interface', 'jobsight.fabric.link_up', undefined, {
    column: 'link_up',
    unit: '1',
    overTime: 'last',
    meaning: '1 where the port of the fast network is active, 0 where it is not',
    source: '/sys/class/infiniband/*/ports/*/state',
  }),
  happening(
    'transmit_waits',
    'ticks in which there was something to send and the other side could not take it, a second',
  ),
  happening('retransmissions', 'packets lost or late and asked for again, a second'),
  happening('congestion_notices', 'notices of congestion sent and received, a second (RoCE)'),
  happening('link_failures', 'times the link went down or had to recover, a second', { scale: 10_000 }),

  total('receive'),
  total('transmit'),
  gauge('node', 'jobsight.fabric.errors', undefined, {
    column: 'fabric_errors',
    unit: '1/s',
    scale: 10_000,
    meaning: 'errors, discards and link failures a second, all ports of the fast network',
    source: PORTS,
  }),
  gauge('node', 'jobsight.fabric.ports', undefined, {
    column: 'fabric_ports_active',
    unit: '1',
    overTime: 'last',
    meaning: 'active ports of the fast network',
    source: '/sys/class/infiniband/*/ports/*/state',
  }),
]
