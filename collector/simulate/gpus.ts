/**
 * GPUs of a simulated node. The cores of the jobs feed them: a card works about as much as the node does, each a little
 * apart from the others, and the last one of a node that is hardly busy has nothing to do.
 */
import type { Entity } from '../../ingest/metrics.ts'
import { clamp } from './model.ts'
import type { Drift } from './random.ts'

export const GPU_BYTES = 80 * 2 ** 30
const LIMIT_WATTS = 700
const IDLE_WATTS = 68
const FULL_HERTZ = 1.98e9
const PCIE_BYTES = 32e9
const LINK_BYTES = 180e9
/** The power of a node's cards is a part of its own. */
const SUPPLY_LOSS = 1.06
/** The first drift that no other device of the node takes. */
const FIRST_DRIFT = 8

export const gpuAddress = (i: number): string => `0000:${(0x18 + 0x22 * i).toString(16)}:00.0`

/** Returns what they draw from the node's supply, in watts. */
export function fillGpus(
  put: (entity: Entity, instance: string, column: string, value: number) => void,
  count: number,
  busy: number,
  drift: Drift,
): number {
  let watts = 0
  for (let i = 0; i < count; i++) {
    const has = busy > 0.3 || i < count - 1
    const work = has ? clamp(busy ** 0.7 * (0.96 - 0.05 * i) + 0.03 * drift.at(FIRST_DRIFT + i), 0, 1) : 0
    watts += fillGpu((column, value) => put('gpu', gpuAddress(i), column, value), work, i)
  }
  put('node', '', 'gpu_count', count)
  return watts * SUPPLY_LOSS
}

function fillGpu(set: (column: string, value: number) => void, work: number, ordinal: number): number {
  const watts = IDLE_WATTS + (LIMIT_WATTS - IDLE_WATTS) * 0.9 * work
  set('utilization', work)
  set('sm_active', work * 0.82)
  set('tensor_active', work * 0.41)
  set('memory_bandwidth', work * 0.56)
  set('memory_busy', work * 0.61)
  set('memory_used', 0.6 * 2 ** 30 + GPU_BYTES * 0.7 * (work > 0.02 ? 1 : 0))
  set('memory_total', GPU_BYTES)
  set('power_watts', watts)
  set('power_limit_watts', LIMIT_WATTS)
  set('temperature', 31 + 0.055 * watts)
  set('clock_hz', work > 0.02 ? FULL_HERTZ * (1 - 0.08 * work) : 345e6)
  set('clock_limit_hz', FULL_HERTZ)
  set('throttled', 0)
  set('pcie_receive_bytes', work * PCIE_BYTES * 0.12)
  set('pcie_transmit_bytes', work * PCIE_BYTES * 0.05)
  set('link_receive_bytes', work * LINK_BYTES * 0.3)
  set('link_transmit_bytes', work * LINK_BYTES * 0.3)
  set('ecc_corrected', 0)
  set('ecc_uncorrected', 0)
  set('ordinal', ordinal)
  return watts
}
