/**
 * Whether this collector is the one that asks the scheduler. A thousand nodes that each ask slurmctld every 15 s would be its
 * worst users, so by default it is asked from the machine it runs on, or by the collector beside the server (`jobsight start`);
 * naming the scheduler in the configuration makes this one ask.
 */
import { readdirSync, readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import type { SchedulerConfig } from './config.ts'
import type { Send } from './outbox.ts'
import { openLease } from './schedulers/lease.ts'
import type { JobHint } from './schedulers/ledger.ts'
import { type Poller, type PollerStatus, startPoller } from './schedulers/poller.ts'
import { openScheduler } from './schedulers/scheduler.ts'

const CONTROLLERS = new Set(['slurmctld', 'pbs_server', 'pbs_server.bin', 'sge_qmaster', 'ocs-qmaster'])
const LOOK_AGAIN_MS = 5 * 60_000
const ANSWER_WITHIN_MS = 60_000

export interface Polling {
  /** The poller's, or why there is none. */
  status(): PollerStatus | { absent: string }
  /** 'ok: slurm', 'unreadable: why', 'waits: who asks it', or why this collector does not ask. */
  word(): string
  hint(rawId: string): JobHint | undefined
  stop(): Promise<void>
}

export interface PollingOptions {
  config: SchedulerConfig
  proc: string
  cluster: string
  /** Of this collector. */
  node: string
  /** File in which the poller remembers live jobs; absent: none. */
  statePath: string | undefined
  /** Ask whatever scheduler is found, though its controller is elsewhere. */
  besideServer: boolean
  env: Readonly<Record<string, string | undefined>>
}

/** Looks again every five minutes: at boot the collector may be up before the controller. Nothing waits for it. */
export function startPolling(options: PollingOptions, deps: { log: Logger; send: Send; now: () => number }): Polling {
  let poller: Poller | undefined
  let absent = 'it is being looked for'
  const look = async () => {
    const found = await findPoller(options, deps)
    if ('absent' in found) {
      if (found.absent !== absent) deps.log.info(`jobs are not polled: ${found.absent}`)
      absent = found.absent
    } else {
      poller = found
      clearInterval(timer)
    }
  }
  const timer = setInterval(() => {
    looking = look()
  }, LOOK_AGAIN_MS)
  timer.unref()
  if (options.config.kind === 'none') clearInterval(timer)
  let looking = look()
  return {
    status: () => poller?.status() ?? { absent },
    word: () => wordOf(poller?.status() ?? { absent }),
    hint: rawId => poller?.hint(rawId),
    async stop() {
      clearInterval(timer)
      await looking
      await poller?.stop()
    },
  }
}

function wordOf(status: PollerStatus | { absent: string }): string {
  if ('absent' in status) return status.absent
  if (status.heldBy !== undefined) return `waits: ${status.heldBy}`
  if (status.unreadable !== undefined) return `unreadable: ${status.unreadable.slice(0, 500)}`
  return status.polledMs === undefined ? 'it is asked for the first time' : `ok: ${status.kind}`
}

async function findPoller(
  { config, proc, cluster, node, statePath, besideServer, env }: PollingOptions,
  deps: { log: Logger; send: Send; now: () => number },
): Promise<Poller | { absent: string }> {
  if (config.kind === 'auto' && !besideServer && !runsController(proc)) {
    return {
      absent:
        'no controller of a scheduler runs on this machine; to ask from here all the same, set collector.scheduler.kind',
    }
  }
  try {
    const { kind, format, accountingPath, pollEveryMs } = config
    const options = { kind, format, log: deps.log, env, timeoutMs: ANSWER_WITHIN_MS }
    const scheduler = await openScheduler({ ...options, ...(accountingPath ? { accountingPath } : {}) })
    if ('absent' in scheduler) return scheduler
    const holder = `${node} ${process.pid}`
    const lease = openLease({ cluster, scheduler: scheduler.kind, node, holder }, deps.send)
    return await startPoller(
      scheduler,
      { cluster, pollEveryMs, ...(statePath ? { statePath } : {}) },
      { ...deps, lease },
    )
  } catch (error) {
    return { absent: error instanceof Error ? error.message : String(error) }
  }
}

function runsController(proc: string): boolean {
  try {
    return readdirSync(proc).some(name => /^\d+$/.test(name) && CONTROLLERS.has(readName(`${proc}/${name}/comm`)))
  } catch {
    return false
  }
}

function readName(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
