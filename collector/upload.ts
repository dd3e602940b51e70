/** What `jobsight import FILE` does: a profile file to a server, under a job where one is named. */
import { ProfileError, type ProfileSummary } from './formats/format.ts'
import { importProfile } from './import.ts'
import type { Send } from './outbox.ts'
import { tellJob } from './schedulers/manual.ts'

export interface UploadOptions {
  endpoint: string
  cluster: string
  /** Where it was taken. */
  node: string
  job?: string
  send: Send
  /** For what is asked beside: who one is. */
  headers: Record<string, string>
  fetch: typeof globalThis.fetch
}

/** Returns what to tell the person: what the file was, what of it could not be used, and where to look. */
export async function uploadProfile(file: string, options: UploadOptions): Promise<string> {
  const { cluster, node, endpoint } = options
  let summary: ProfileSummary | undefined
  const onSummary = (read: ProfileSummary): void => {
    summary = read
  }
  const job = options.job === undefined ? {} : { job: options.job }
  for await (const body of importProfile(file, { cluster, node, ...job, onSummary })) {
    const sent = await options.send('profiles', body)
    if (!sent.ok) throw new ProfileError(`${file}: ${endpoint} did not take it: ${sent.message}`)
  }
  if (!summary) throw new ProfileError(`${file} holds no samples`)
  if (options.job !== undefined) await makeJobKnown(options.job, summary, options)
  return summaryWords(file, summary, `${endpoint}/#/${cluster}/node/${node}`)
}

/** A job that no scheduler told of becomes one of the file's own time, so that it can be asked for. */
async function makeJobKnown(id: string, read: ProfileSummary, options: UploadOptions): Promise<void> {
  const { endpoint, cluster, node } = options
  const known = await options.fetch(`${endpoint}/api/v1/jobs/${encodeURIComponent(id)}?cluster=${cluster}`, {
    headers: options.headers,
  })
  if (known.ok) return
  const span = [`start=${read.startMs / 1000}`, `end=${read.endMs / 1000}`]
  await tellJob(['stop', id, `nodes=${node}`, ...span], {
    endpoint,
    cluster,
    node,
    nowMs: Date.now(),
    headers: options.headers,
    fetch: options.fetch,
  })
}

function summaryWords(file: string, read: ProfileSummary, page: string): string {
  const unused = [
    `${read.lost} samples lost when it was recorded`,
    `${read.otherEvents} samples of other events`,
    `${read.unknownLines} lines that are no samples`,
  ].filter(words => !words.startsWith('0 '))
  const left = unused.length === 0 ? '' : ` (left out: ${unused.join(', ')})`
  return `${file}: ${read.format} stored${left}; see ${page}?from=${Math.floor(read.startMs)}&to=${Math.ceil(read.endMs)}`
}
