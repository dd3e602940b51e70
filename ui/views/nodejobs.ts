/** Which job a node ran when: an index over the bands, made once an answer. */
import type { JobBands } from '../../query/api.ts'

export type Band = JobBands['jobs'][number]
export type JobOn = (node: string, ms: number) => Band | undefined

/** The job that a node runs at a moment; the last one before it where it runs none. */
export function indexJobs(bands: JobBands | undefined): JobOn {
  const byNode = new Map<string, Band[]>()
  const newestFirst = [...(bands?.jobs ?? [])].sort((a, b) => b.to - a.to || b.from - a.from)
  for (const job of newestFirst) {
    for (const node of job.nodes) {
      const jobs = byNode.get(node)
      if (jobs) jobs.push(job)
      else byNode.set(node, [job])
    }
  }
  return (node, ms) => byNode.get(node)?.find(job => job.from <= ms)
}
