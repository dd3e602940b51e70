/** The parts of a node's collector that are open or absent, each named in the panel with the reason. */
import type { Logger } from 'pino'
import type { Attribution } from './attribution.ts'
import type { CollectorConfig } from './config.ts'
import { type Exits, openExits } from './exits.ts'
import type { Outbox } from './outbox.ts'
import type { Panel } from './panel.ts'
import { type Charge, openProcesses, type Processes } from './processes.ts'
import { openPortableProcesses } from './processesportable.ts'
import { findNativeFiles } from './processfiles.ts'
import { type Stacks, samplersOf, startStacks } from './stacks.ts'
import type { Boot } from './starttime.ts'
import { openUsers } from './users.ts'

type NodeConfig = Pick<CollectorConfig, 'cluster' | 'processes' | 'roots' | 'stacks'>

/** `boot` and `attribution` are absent where there is no /proc: then the processes are what the portable reader tells. */
export async function openNodeProcesses(
  config: NodeConfig,
  { panel, boot, attribution }: { panel: Panel; boot: Boot | undefined; attribution: Attribution | undefined },
): Promise<Processes | undefined> {
  const { topByCpu, topByMemory } = config.processes
  if (topByCpu + topByMemory === 0) {
    panel.add('processes', 'switched off: collector.processes.topByCpu and topByMemory are 0')
    return undefined
  }
  const charge: Charge = attribution
    ? (pid, startMs) => attribution.charge(pid, startMs)
    : () => ({ job: '', step: '', evidence: 'none' })
  const options = { topByCpu, topByMemory, charge }
  const opened = boot
    ? openProcesses({
        ...{ ...options, roots: config.roots, files: panel.files, boot, users: openUsers() },
        ...openNodeExits(panel),
        gpuOf: pid => panel.gpuOf(pid),
        openFiles: findNativeFiles(),
      })
    : await openPortableProcesses(options)
  panel.add('processes', 'absent' in opened ? opened.absent : undefined)
  return 'absent' in opened ? undefined : opened
}

function openNodeExits(panel: Panel): { exits?: Exits } {
  const exits = openExits()
  if (!('absent' in exits)) {
    panel.add('process exits', undefined, exits)
    return { exits }
  }
  panel.add('process exits', `${exits.absent}; processes that came and went are told under their parent's name alone`)
  return {}
}

export async function startNodeStacks(
  { cluster, stacks: options, roots }: NodeConfig,
  deps: { node: string; panel: Panel; attribution: Attribution; outbox: Outbox; log: Logger; now: () => number },
): Promise<Stacks> {
  const { node, panel, attribution, outbox, log, now } = deps
  const perf = { log, proc: roots.proc, now, monotonic: () => Number(process.hrtime.bigint()) / 1e6 }
  const stacks = await startStacks(
    { ...options, node, ...(cluster ? { cluster } : {}) },
    { samplers: samplersOf(options.mode, perf), outbox, attribution, log },
  )
  const status = stacks.status()
  panel.add('stacks', 'absent' in status ? status.absent : undefined, stacks.source)
  return stacks
}
