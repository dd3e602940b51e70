/** /v1/jobs: jobs and nodes as a scheduler or a collector tells them. Each record is looked at alone. */
import { Compile } from 'typebox/compile'
import { Value } from 'typebox/value'
import { BodyError } from './errors.ts'
import { cut } from './origin.ts'
import { parseJson } from './otlp/json.ts'
import { Job, Node, PollerClaim } from './records.ts'
import type { RowWriter } from './rowbinary.ts'

export interface JobsBatch {
  poller: PollerClaim | undefined
  jobs: Job[]
  nodes: Node[]
  rejected: number
  /** The first reasons, each with its path. */
  reasons: string[]
}

const CheckedJob = Compile(Job)
const CheckedNode = Compile(Node)
const CheckedClaim = Compile(PollerClaim)
const KEYS: readonly string[] = ['jobs', 'nodes', 'poller']
const MOST_REASONS = 20

/** Throws BodyError where the body is not an object of lists. A record without a cluster is of the default one. */
export function parseJobs(bytes: Uint8Array, defaultCluster: string, toMs: number): JobsBatch {
  const body = parseJson(bytes)
  const unknown = Object.keys(body.object()).filter(key => !KEYS.includes(key))
  if (unknown.length > 0) {
    throw new BodyError('malformed', `${unknown.join(', ')}: the body is {"jobs": [...], "nodes": [...]}`)
  }
  const poller = body.get('poller')?.value
  const batch: JobsBatch = {
    poller: poller === undefined ? undefined : claimOf(poller),
    jobs: [],
    nodes: [],
    rejected: 0,
    reasons: [],
  }
  for (const { path, value } of body.list('jobs')) {
    const record = withCluster(value, defaultCluster)
    if (CheckedJob.Check(record)) takeTimed(batch, batch.jobs, Value.Clean(Job, record) as Job, path, toMs)
    else refuse(batch, reasonOf(CheckedJob.Errors(record), path))
  }
  for (const { path, value } of body.list('nodes')) {
    const record = withCluster(value, defaultCluster)
    if (CheckedNode.Check(record)) takeTimed(batch, batch.nodes, Value.Clean(Node, record) as Node, path, toMs)
    else refuse(batch, reasonOf(CheckedNode.Errors(record), path))
  }
  return batch
}

function claimOf(value: unknown): PollerClaim {
  if (CheckedClaim.Check(value)) return value as PollerClaim
  throw new BodyError('malformed', reasonOf(CheckedClaim.Errors(value), 'poller'))
}

const withCluster = (value: unknown, cluster: string): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { cluster, ...value } : value

/** A record from the future would win against every later one. */
function takeTimed<T extends { updatedMs: number }>(
  batch: JobsBatch,
  into: T[],
  record: T,
  path: string,
  toMs: number,
) {
  if (record.updatedMs <= toMs) into.push(record)
  else refuse(batch, `${path}.updatedMs: ${record.updatedMs} lies ahead of this machine's clock`)
}

function refuse(batch: JobsBatch, reason: string): void {
  batch.rejected++
  if (batch.reasons.length < MOST_REASONS) batch.reasons.push(reason)
}

interface SchemaError {
  keyword: string
  instancePath: string
  message: string
  params: object
}

/** The first error; where only some values are allowed, those. */
function reasonOf(errors: readonly SchemaError[], path: string): string {
  const first = errors[0]
  if (first === undefined) return `${path}: not as it should be`
  const where = `${path}${first.instancePath.replace(/\/(\d+)(?=\/|$)/g, '[$1]').replace(/\//g, '.')}`
  const choices = 'allowedValues' in first.params ? first.params.allowedValues : undefined
  const missing = 'requiredProperties' in first.params ? `: ${String(first.params.requiredProperties)}` : ''
  return `${where} ${Array.isArray(choices) ? `must be one of ${choices.join(', ')}` : `${first.message}${missing}`}`
}

export const JOB_COLUMNS = [
  'cluster',
  'id',
  'raw_id',
  'array_id',
  'name',
  'user',
  'account',
  'queue',
  'state',
  'submit_ms',
  'start_ms',
  'end_ms',
  'node_count',
  'cores',
  'gpus',
  'nodes',
  'record',
  'updated_ms',
] as const

export function writeJob(writer: RowWriter, job: Job): void {
  const nodes = [...new Set((job.allocations ?? []).map(a => a.node))]
  writer.string(job.cluster)
  writer.string(job.id)
  writer.string(job.rawId ?? '')
  writer.string(job.arrayId ?? '')
  writer.string(job.name ?? '')
  writer.string(job.user ?? '')
  writer.string(job.account ?? '')
  writer.string(cut(job.queue ?? '', 255))
  writer.string(job.state)
  writer.i64(Math.round(job.submitMs ?? 0))
  writer.i64(Math.round(job.startMs ?? 0))
  writer.i64(Math.round(job.endMs ?? 0))
  writer.u32(count(job.nodeCount ?? nodes.length))
  writer.u32(count(job.cores ?? 0))
  writer.u32(count(job.gpus ?? 0))
  writer.array(nodes, node => writer.string(node))
  writer.string(JSON.stringify(job))
  writer.i64(Math.round(job.updatedMs))
  writer.endRow()
}

export const NODE_COLUMNS = ['cluster', 'node', 'sender', 'record', 'updated_ms'] as const

/** What the scheduler says of a node and what its collector says are kept apart; readers merge them. */
export function writeNode(writer: RowWriter, node: Node, sender: string = senderOf(node)): void {
  writer.string(node.cluster)
  writer.string(node.node)
  writer.string(sender)
  writer.string(JSON.stringify(node))
  writer.i64(Math.round(node.updatedMs))
  writer.endRow()
}

const senderOf = (node: Node): string => (node.schedulerState === undefined ? 'collector' : 'scheduler')

const count = (value: number): number => Math.min(0xffff_ffff, Math.max(0, Math.round(value)))
