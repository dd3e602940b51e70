/** What a real slurmdbd says of jobs, read with no code of ours, as a record of theirs has to say it too. */
import type { Job } from '../../ingest/records.ts'

const FIELDS = [
  ...['JobID', 'JobIDRaw', 'User', 'UID', 'State', 'ExitCode', 'Submit', 'Start', 'End', 'NCPUS', 'NNodes', 'Account'],
  ...['Partition', 'TimelimitRaw', 'NodeList', 'WorkDir', 'AllocTRES', 'JobName'],
] as const

export const SACCT = `SLURM_TIME_FORMAT=%s sacct -a -X -D -n -P -S now-1hour -o ${FIELDS.join(',')}`

type Row = Readonly<Record<string, string>>

/** Names may hold newlines, so what is no row of its own is left out. */
export const rowsOf = (stdout: string): Row[] =>
  stdout
    .split('\n')
    .map(line => line.split('|'))
    .filter(cells => /^\d+/.test(cells[0] ?? '') && cells.length >= FIELDS.length)
    .map(cells => Object.fromEntries(FIELDS.map((field, i) => [field, cells[i] ?? ''])))

const ms = (seconds = ''): number => Number(seconds) * 1000

export const submitMsOf = (row: Row): number => ms(row.Submit)
/** Of those that began and are over. */
export const isOver = ({ Start, End }: Row): boolean => Number(Start) > 0 && Number(End) > 0

/** cpu=3,gres/gpu=2,mem=300M,node=2; of GPUs only where there are some. */
export function heldIn(tres = ''): Pick<Job, 'memoryBytes' | 'gpus'> {
  const [, mebibytes] = /(?:^|,)mem=(\d+)M/.exec(tres) ?? []
  const [, gpus] = /(?:^|,)gres\/gpu=(\d+)/.exec(tres) ?? []
  return { memoryBytes: Number(mebibytes) * 2 ** 20, ...(gpus === undefined ? {} : { gpus: Number(gpus) }) }
}

/** While it ran, as the queue tells it. */
export function ranAs(row: Row): Partial<Job> {
  const [, arrayId, arrayTask] = /^(\d+)_(\d+)$/.exec(row.JobID ?? '') ?? []
  const limit = Number(row.TimelimitRaw)
  return {
    rawId: row.JobIDRaw ?? '',
    user: row.User ?? '',
    uid: Number(row.UID),
    account: row.Account ?? '',
    queue: row.Partition ?? '',
    workDir: row.WorkDir ?? '',
    submitMs: ms(row.Submit),
    startMs: ms(row.Start),
    nodeCount: Number(row.NNodes),
    cores: Number(row.NCPUS),
    ...heldIn(row.AllocTRES),
    ...(arrayId === undefined || arrayTask === undefined ? {} : { arrayId, arrayTask }),
    ...(Number.isNaN(limit) ? {} : { timeLimitSeconds: limit * 60 }),
  }
}

/** `CANCELLED by 1001` */
export const endedAs = (row: Row): Partial<Record<keyof Job, unknown>> => ({
  ...ranAs(row),
  state: row.State?.split(' ')[0]?.toLowerCase(),
  endMs: ms(row.End),
})
