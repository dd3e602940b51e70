/** Which scheduler is here. */
import type { Absent, OpenScheduler, Scheduler, SchedulerKind, SchedulerOptions } from './contract.ts'
import { SCHEDULER_KINDS } from './contract.ts'
import { openGridEngine } from './gridengine.ts'
import { openPbs } from './pbs.ts'
import { openSlurm } from './slurm.ts'

const OPEN: Record<SchedulerKind, OpenScheduler> = { slurm: openSlurm, pbs: openPbs, gridengine: openGridEngine }

/** Of several whose commands are found the first that answers: a machine of one may have the client of another installed. */
export async function openScheduler(options: SchedulerOptions): Promise<Scheduler | Absent> {
  if (options.kind === 'none') return { absent: 'switched off (scheduler.kind: none)' }
  const kinds = options.kind === 'auto' ? SCHEDULER_KINDS : [options.kind]
  const opened = await Promise.all(kinds.map(kind => tried(OPEN[kind](options))))
  const found = opened.flatMap(one => ('absent' in one ? [] : [one]))
  const why = opened.flatMap(one => ('absent' in one ? [one.absent] : []))
  if (found.length < 2) return found[0] ?? { absent: why.join('; ') }
  for (const scheduler of found) {
    const answer = await tried(scheduler.poll())
    if (!('absent' in answer)) {
      for (const other of found) if (other !== scheduler) other.close()
      return scheduler
    }
    why.push(`${scheduler.kind} does not answer: ${answer.absent}`)
  }
  for (const scheduler of found) scheduler.close()
  return { absent: why.join('; ') }
}

const tried = <T>(asked: Promise<T>): Promise<T | Absent> =>
  asked.catch((error: unknown) => ({ absent: error instanceof Error ? error.message : String(error) }))
