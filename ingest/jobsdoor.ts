/** Jobs and nodes: a request of records -> rows; the newest of each wins in the table. */
import { accepted, type DoorDeps } from './door.ts'
import { BodyError } from './errors.ts'
import type { Receipt } from './index.ts'
import { JOB_COLUMNS, NODE_COLUMNS, parseJobs, writeJob, writeNode } from './jobs.ts'
import type { Encoding } from './otlp/body.ts'
import { Pollers } from './pollers.ts'
import { requireCluster } from './senders.ts'

export class JobsDoor {
  readonly #deps: DoorDeps
  readonly #pollers = new Pollers()
  readonly #counts = { jobs: 0, nodes: 0, rejectedRecords: 0, refusedPollers: 0 }

  constructor(deps: DoorDeps) {
    this.#deps = deps
  }

  counters(): Record<string, number> {
    return { ...this.#counts }
  }

  async take(body: Uint8Array, encoding: Encoding): Promise<Receipt> {
    if (encoding !== 'json') throw new BodyError('unsupported', 'jobs are taken as application/json')
    const { writer, config, defaultCluster } = this.#deps
    const { poller, jobs, nodes, rejected, reasons } = parseJobs(
      body,
      defaultCluster,
      this.#deps.now() + config.futureMs,
    )
    const sender = this.#deps.sending.getStore()
    for (const { cluster } of [...jobs, ...nodes]) requireCluster(sender, cluster)
    if (poller !== undefined) {
      const { cluster = defaultCluster } = poller
      requireCluster(sender, cluster)
      const other = this.#pollers.claim(poller, cluster, this.#deps.now())
      if (other !== undefined) {
        this.#counts.refusedPollers++
        return { status: 409, rejected: 0, message: other }
      }
    }
    const stored: Promise<void>[] = []
    if (jobs.length > 0) {
      const write = writer.append('jobs', JOB_COLUMNS, to => {
        for (const job of jobs) writeJob(to, job)
      })
      stored.push(write)
    }
    if (nodes.length > 0) {
      const write = writer.append('nodes', NODE_COLUMNS, to => {
        for (const node of nodes) writeNode(to, node)
      })
      stored.push(write)
    }
    await Promise.all(stored)
    this.#counts.jobs += jobs.length
    this.#counts.nodes += nodes.length
    this.#counts.rejectedRecords += rejected
    return accepted(rejected, reasons)
  }
}
