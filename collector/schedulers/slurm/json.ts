/**
 * `squeue --json`, `sinfo --json` and `scontrol show nodes --json`, releases 21.08 to 26.05. What drifts:
 *
 *   release   parser     numbers                    job_state        exit_code                allocated on a node
 *   21.08     0.0.37     5                          "RUNNING"        768 (wait status)        {"0": {cpus, memory}}
 *   22.05     0.0.38     5, null                    "RUNNING"        768                      [{nodename, sockets, memory_allocated}]
 *   23.02     0.0.39     {set, infinite, number}    "RUNNING"        {.. number: 768}         same
 *   23.11     0.0.40     same                       ["RUNNING"]      {return_code, signal}    same
 *   24.05 on  0.0.41 ..  same                       same             same                     nodes.allocation[{name, cpus, memory}]
 *
 * Shapes: https://slurm.schedmd.com/openapi_release_notes.html. A command that failed may end with rc 0, an empty list
 * and the reason in errors[], so that list is looked at first.
 */
import type { Allocation } from '../../../ingest/records.ts'
import { type PolledJob, SchedulerError } from '../contract.ts'
import { asList, asMs, asNumber, asRecord, asText, parseJson } from '../values.ts'
import { jobOf, parseGres, parseWaitStatus, type SlurmJob } from './job.ts'

type Json = Record<string, unknown>

export interface SlurmAnswer {
  version: string | undefined
  body: Json
}

/** The answer of a command, or SchedulerError where it is an outage in disguise. */
export function parseAnswer(bytes: Buffer, command: string): SlurmAnswer {
  const body = asRecord(parseJson(bytes))
  if (body === undefined) throw new SchedulerError('unreadable', `\`${command}\` printed no JSON`)
  const errors = asList(body.errors).map(errorText)
  if (errors.length > 0) throw new SchedulerError('unreadable', `\`${command}\`: ${errors.join('; ')}`)
  const meta = asRecord(body.meta)
  const slurm = asRecord(meta?.slurm) ?? asRecord(meta?.Slurm)
  return { version: asText(slurm?.release), body }
}

function errorText(error: unknown): string {
  const { description, source, error: short } = asRecord(error) ?? {}
  return (
    [asText(description), asText(short), asText(source)].filter(text => text !== undefined).join(', ') || 'an error'
  )
}

export function parseJobs(answer: SlurmAnswer): PolledJob[] {
  if (answer.body.jobs === undefined) throw new SchedulerError('unreadable', '`squeue --json` has no "jobs"')
  return asList(answer.body.jobs).flatMap(entry => {
    const json = asRecord(entry)
    const jobId = asNumber(json?.job_id)
    return json === undefined || jobId === undefined ? [] : [jobOf(slurmJob(json, jobId))]
  })
}

function slurmJob(json: Json, jobId: number): SlurmJob {
  const pending = asText(json.tres_alloc_str) === undefined
  return {
    jobId,
    sluid: asText(asRecord(json.step_id)?.sluid),
    arrayJobId: asNumber(json.array_job_id) || undefined,
    arrayTaskId: asNumber(json.array_task_id),
    arrayTasks: asText(json.array_task_string),
    hetJobId: asNumber(json.het_job_id) || undefined,
    hetOffset: asNumber(json.het_job_offset),
    states: words(json.job_state),
    reason: asText(json.state_reason) === 'None' ? undefined : asText(json.state_reason),
    name: asText(json.name),
    user: asText(json.user_name),
    uid: asNumber(json.user_id),
    account: asText(json.account),
    partition: asText(json.partition),
    submitMs: asMs(json.submit_time),
    startMs: asMs(json.start_time),
    endMs: asMs(json.end_time),
    limitMinutes: asNumber(json.time_limit),
    nodes: asText(json.nodes) ?? '',
    nodeCount: asNumber(json.node_count),
    cpus: asNumber(json.cpus),
    tres: asText(pending ? json.tres_req_str : json.tres_alloc_str) ?? '',
    ...exitOf(json.exit_code),
    restarts: asNumber(json.restart_cnt),
    workDir: asText(json.current_working_directory),
    command: asText(json.command),
    perNode: perNode(json),
  }
}

/** "RUNNING" or ["RUNNING", "COMPLETING"] */
export function words(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).flatMap(word => asText(word) ?? [])
}

function exitOf(value: unknown): Pick<SlurmJob, 'exitCode' | 'signal'> {
  const struct = asRecord(value)
  if (struct === undefined || !('return_code' in struct)) return parseWaitStatus(asNumber(value))
  const signal = asRecord(struct.signal)
  return {
    exitCode: asNumber(struct.return_code),
    signal: (asNumber(signal?.id) ?? asNumber(signal?.signal_id)) || undefined,
  }
}

/** What is held on each node, in the order of the node list. */
function perNode(json: Json): Omit<Allocation, 'node'>[] {
  const resources = asRecord(json.job_resources)
  const newer = asList(asRecord(resources?.nodes)?.allocation)
  const held = newer.length > 0 ? newer.map(heldNow) : asList(resources?.allocated_nodes).map(heldBefore)
  const scale = cpusACore(json, held)
  const gres = asList(json.gres_detail)
  return held.map(({ cpus, coreCount, mib }, i) => {
    const share: Omit<Allocation, 'node'> = {}
    const gpus = parseGres(asText(gres[i]))
    if (cpus !== undefined) share.cores = cpus
    else if (coreCount > 0) share.cores = coreCount * scale
    if (mib !== undefined && mib > 0) share.memoryBytes = mib * 2 ** 20
    if (gpus !== undefined) share.gpus = gpus
    return share
  })
}

interface Held {
  cpus: number | undefined
  coreCount: number
  mib: number | undefined
}

function heldNow(entry: unknown): Held {
  const node = asRecord(entry)
  const memory = asRecord(node?.memory)
  return { cpus: asNumber(asRecord(node?.cpus)?.count), coreCount: 0, mib: asNumber(memory?.allocated) }
}

/** Up to 23.11: `cpus_used` is what steps use, so the allocated cores are counted in {sockets: {0: {cores: {0: "allocated"}}}}. */
function heldBefore(entry: unknown): Held {
  const node = asRecord(entry)
  const coreCount = asList(node?.sockets)
    .map(socket => asList(asRecord(socket)?.cores).length)
    .reduce((sum, cores) => sum + cores, 0)
  return { cpus: asNumber(node?.cpus), coreCount, mib: asNumber(node?.memory_allocated) ?? asNumber(node?.memory) }
}

/** CPUs are hardware threads: 8 CPUs on 4 cores make 2 a core. */
function cpusACore(json: Json, held: readonly Held[]): number {
  const cores = held.reduce((sum, node) => sum + node.coreCount, 0)
  const cpus = Number(/(?:^|,)cpu=(\d+)/.exec(asText(json.tres_alloc_str) ?? '')?.[1] ?? asNumber(json.cpus))
  return cores > 0 && cpus > 0 ? cpus / cores : 1
}
