/** `jobsight job ID`: what the API of a server says of one job, for the terminal. */
import type { Categories, ErrorAnswer, Functions, JobDetail, JobNodes, JobRanks } from './api.ts'
import { badRequest, QueryError } from './errors.ts'

export interface JobReport {
  detail: JobDetail
  categories: Categories['categories']
  functions: Functions | undefined
  nodes: JobNodes['nodes']
  ranks: JobRanks['ranks']
}

export interface ReportFrom {
  endpoint: string
  /** Absent: the only one, else the one heard from last. */
  cluster?: string | undefined
  fetch: typeof fetch
}

const TOP_FUNCTIONS = 10

/** Throws QueryError with the server's own words, or with what to do where there is none. */
export async function readJobReport(id: string, from: ReportFrom): Promise<JobReport> {
  const path = `jobs/${encodeURIComponent(id)}`
  const detail = await ask<JobDetail>(from, path)
  const empty = { categories: [], functions: undefined, nodes: [], ranks: [] }
  if (detail.job.start === null) return { detail, ...empty }
  const [{ categories }, functions, { nodes }, { ranks }] = await Promise.all([
    ask<Categories>(from, `${path}/categories`),
    ask<Functions>(from, `${path}/functions`, { sort: 'self', limit: String(TOP_FUNCTIONS) }),
    ask<JobNodes>(from, `${path}/nodes`, { buckets: '1' }),
    ask<JobRanks>(from, `${path}/ranks`),
  ])
  return { detail, categories, functions, nodes, ranks }
}

async function ask<T>(from: ReportFrom, path: string, parameters: Record<string, string> = {}): Promise<T> {
  const url = new URL(`api/v1/${path}`, from.endpoint.endsWith('/') ? from.endpoint : `${from.endpoint}/`)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  if (from.cluster !== undefined) url.searchParams.set('cluster', from.cluster)
  const answer = await from.fetch(url)
  return parseAnswer<T>(answer.status, await answer.text(), url)
}

/** The server checks its answers against the schemas that the types come from. */
function parseAnswer<T>(status: number, text: string, url: URL): T {
  let body: T | ErrorAnswer
  try {
    body = JSON.parse(text) as T | ErrorAnswer
  } catch {
    throw badRequest(
      `${url.origin} answered ${status} and no JSON: is that a Jobsight? Name the server with --endpoint`,
    )
  }
  if (status === 200) return body as T
  const { error } = body as ErrorAnswer
  throw new QueryError(status, error?.code ?? 'http', error?.message ?? `${url.href} answered ${status}`)
}
