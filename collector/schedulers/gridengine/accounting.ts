/**
 * Finished jobs: $SGE_ROOT/$SGE_CELL/common/accounting, a line a job in 45 fields between colons (no name holds one), times in
 * seconds (Open Grid Scheduler: milliseconds); or accounting.jsonl of OCS 9, in microseconds.
 * https://gridscheduler.sourceforge.net/htmlman/htmlman5/accounting.html
 */
import type { JobState } from '../../../ingest/records.ts'
import { type PolledJob, shortName } from '../contract.ts'
import { asNumber, asRecord, asText, cut, parseJson, present } from '../values.ts'
import { timeOf } from './jobs.ts'

const FIELDS = [
  ...['qname', 'hostname', 'group', 'owner', 'job_name', 'job_number', 'account', 'priority', 'submission_time'],
  ...['start_time', 'end_time', 'failed', 'exit_status'],
] as const
const PE_NAME = 33
const SLOTS = 34
const TASK = 35

type Entry = Record<string, string>

/** A line of either file; undefined where it ends no job. */
export function parseLine(line: string): PolledJob | undefined {
  const entry = line.startsWith('{') ? jsonEntry(line) : colonEntry(line)
  return entry === undefined ? undefined : jobOf(entry)
}

function colonEntry(line: string): Entry | undefined {
  if (line.startsWith('#')) return undefined
  const cells = line.split(':')
  if (cells.length < SLOTS + 2) return undefined
  // Counted from the end: the requests before it may hold colons (h_rt=1:00:00). Before 6.2 there are two fields less behind it.
  const peTask = cells.at(cells.length >= 45 ? -4 : -2) ?? ''
  const entry: Entry = Object.fromEntries(FIELDS.map((name, i) => [name, cells[i] ?? '']))
  return {
    ...entry,
    pe: cells[PE_NAME] ?? '',
    slots: cells[SLOTS] ?? '',
    task: cells[TASK] ?? '',
    peTask,
  }
}

function jsonEntry(line: string): Entry | undefined {
  const json = asRecord(parseJson(Buffer.from(line)))
  if (json === undefined) return undefined
  const entry = Object.fromEntries(FIELDS.map(name => [name, asText(json[name]) ?? '']))
  const peTask = asText(json.pe_task_id ?? json.pe_taskid) ?? 'NONE'
  return { ...entry, slots: asText(json.slots) ?? '', task: asText(json.task_number) ?? '', peTask }
}

/** 24, 25: goes back into the queue; 30: waits in error state. https://gridscheduler.sourceforge.net/htmlman/htmlman5/sge_status.html */
const GOES_ON = new Set([24, 25, 30])
const DELETED = 'SIGKILL: qdel, or the kernel, out of memory'

function jobOf(entry: Entry): PolledJob | undefined {
  const number = entry.job_number ?? ''
  const failed = asNumber(entry.failed) ?? 0
  const peTask = entry.peTask !== '' && entry.peTask !== 'NONE'
  if (!/^\d+$/.test(number) || number === '0' || peTask || GOES_ON.has(failed)) return undefined
  const task = Number(entry.task) > 0 ? entry.task : undefined
  const host = shortName(entry.hostname ?? '')
  const [startMs, endMs] = [timeOf(entry.start_time), timeOf(entry.end_time)]
  // A job that could not be started has a line too, and waits on in error state.
  if (endMs === undefined) return undefined
  const slots = asNumber(entry.slots)
  const parallel = (slots ?? 1) > 1
  const end = endOf(failed, asNumber(entry.exit_status) ?? 0)
  return present<PolledJob>({
    id: task === undefined ? number : `${number}.${task}`,
    scheduler: 'gridengine',
    schedulerState: `failed ${failed}, exit_status ${entry.exit_status}`,
    rawId: `${number}.${task ?? 1}`,
    arrayId: task === undefined ? undefined : number,
    arrayTask: task,
    name: cut(entry.job_name, 4096),
    user: cut(entry.owner, 255),
    account: cut(entry.account, 255),
    queue: entry.qname,
    submitMs: timeOf(entry.submission_time),
    startMs,
    endMs,
    cores: slots,
    // The line names the host of the master only.
    allocations:
      startMs === undefined || host === ''
        ? undefined
        : [parallel ? { node: host } : present({ node: host, cores: slots })],
    ...end,
    reason: end.state === 'cancelled' ? DELETED : undefined,
    exitCode: end.exitCode,
    signal: end.signal,
  })
}

/** A job that a signal killed is 100 with 128 + signal; 37 ran into h_rt or h_cpu. */
function endOf(
  failed: number,
  status: number,
): { state: JobState; exitCode: number | undefined; signal: number | undefined } {
  const signal = status > 128 ? status - 128 : undefined
  const told = { exitCode: signal === undefined ? status : undefined, signal }
  if (failed === 37) return { state: 'timeout', ...told }
  if (failed === 100 && signal === 9) return { state: 'cancelled', ...told }
  return { state: failed === 0 && status === 0 ? 'completed' : 'failed', ...told }
}
