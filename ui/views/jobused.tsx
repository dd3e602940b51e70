/** What a job asked for, and how much of it it used. */
import type { JobDetail } from '../../query/api.ts'
import { formatBytes, formatCount, formatRatio, formatSeconds, formatSpan, formatWhole } from '../format.ts'
import { t } from '../words.ts'
import { Fact } from './facts.tsx'
import type { Page } from './scope.ts'

const shareOf = (part: number | null, whole: number | null | undefined) =>
  part !== null && whole ? { share: part / whole } : {}

export function JobUsed({ page, data }: { page: Page; data: JobDetail }) {
  const { job, record } = data
  const elapsed = ((job.end ?? page.now) - (job.start ?? page.now)) / 1000
  const limit = record.timeLimitSeconds
  return (
    <div class="facts" style={{ paddingBottom: 0 }}>
      <Fact
        name={t('jobs.nodes')}
        value={formatWhole(job.nodeCount)}
        of={t('job.cores', { count: formatWhole(job.cores) })}
      />
      {job.gpus > 0 && (
        <Fact
          name="GPU"
          value={String(job.gpus)}
          of={data.gpuUtilization === null ? '' : t('job.gpusUsed', { share: formatRatio(data.gpuUtilization) })}
          {...shareOf(data.gpuUtilization, 1)}
        />
      )}
      <Fact
        name={t('jobs.elapsed')}
        value={formatSpan(elapsed * 1000)}
        of={limit ? t('job.ofLimit', { limit: formatSeconds(limit) }) : ''}
        {...shareOf(elapsed, limit)}
      />
      <CoreTime data={data} />
      <PeakMemory data={data} />
      <Fact
        name={t('job.sampled')}
        value={formatSeconds(data.sampledSeconds)}
        of={t('job.sampledWhy')}
        {...shareOf(data.sampledSeconds, data.coreSecondsUsed)}
      />
      {data.coverage !== null && data.coverage !== undefined && (
        <Fact
          name={t('job.measured')}
          value={formatRatio(data.coverage)}
          of={t('job.measuredWhy')}
          share={data.coverage}
        />
      )}
    </div>
  )
}

function CoreTime({ data }: { data: JobDetail }) {
  const { coreSecondsUsed: used, coreSecondsAllocated: allocated } = data
  const of = allocated === null ? '' : t('job.ofCoreHours', { hours: formatCount(allocated / 3600) })
  return (
    <Fact
      name={t('job.coreTime')}
      value={used === null ? '–' : t('job.coreHours', { hours: formatCount(used / 3600) })}
      of={`${formatRatio(data.job.cpuEfficiency)} ${of}`}
      {...shareOf(used, allocated)}
    />
  )
}

function PeakMemory({ data }: { data: JobDetail }) {
  const { memoryPeakBytes: peak, record, job } = data
  const asked = record.memoryBytes
  const of = asked ? `${formatRatio(job.memoryEfficiency)} ${t('fact.ofMemory', { bytes: formatBytes(asked) })}` : ''
  return <Fact name={t('job.memoryPeak')} value={formatBytes(peak)} of={of} {...shareOf(peak, asked)} />
}
