/** Which scheduler is here. */
import type { Absent, OpenScheduler, Scheduler, SchedulerKind, SchedulerOptions } from './contract.ts'
import { SCHEDULER_KINDS } from './contract.ts'
import { openGridEngine } from './gridengine.ts'
import { openPbs } from './pbs.ts'
import { openSlurm } from './slurm.ts'

const OPEN: Record<SchedulerKind, OpenScheduler> = { slurm: openSlurm, pbs: openPbs, gridengine: openGridEngine }

export async function openScheduler(options: SchedulerOptions): Promise<Scheduler | Absent> {
  if (options.kind === 'none') return { absent: 'switched off (scheduler.kind: none)' }
  const kinds = options.kind === 'auto' ? SCHEDULER_KINDS : [options.kind]
  const why: string[] = []
  for (const kind of kinds) {
    const opened = await OPEN[kind](options)
    if (!('absent' in opened)) return opened
    why.push(opened.absent)
  }
  return { absent: why.join('; ') }
}
