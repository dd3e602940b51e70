/** What a node is, in a line: state, load now, jobs, hardware. */
import type { NodeDetail } from '../../query/api.ts'
import { jobColour } from '../colour.ts'
import { formatAgo, formatBytes, formatCount, formatRatio } from '../format.ts'
import { t, term } from '../words.ts'
import { CompareButton } from './comparechoice.tsx'
import { useNewest } from './live.ts'
import { linkTo, OWN_SPAN, type Page } from './scope.ts'

export function NodeIdentity({ page, detail }: { page: Page; detail: NodeDetail }) {
  const busy = useNewest(page.cluster, detail.node, 'cpu_busy') ?? detail.values.cpu_busy ?? null
  const intervalMs = detail.record?.intervalMs
  return (
    <div class="identity">
      <h1>{detail.node}</h1>
      <span class={`state-word ${detail.state}`}>
        <i /> {term('state', detail.state)}
        {detail.state === 'silent' && ` · ${formatAgo(detail.lastSeen, page.now)}`}
      </span>
      <span>
        <b>{formatRatio(busy)}</b> <span class="dim">{t('node.busyNow')}</span>
      </span>
      <SchedulerState detail={detail} />
      {detail.jobs.map(j => (
        <a key={j.id} class="job-link" href={linkTo(page, { job: j.id }, OWN_SPAN)}>
          <i class="dot" style={{ background: jobColour(j.id) }} /> {j.id} <span class="dim">{j.user}</span>
        </a>
      ))}
      <CompareButton page={page} />
      <span class="soft" title={intervalMs ? t('node.every', { seconds: formatCount(intervalMs / 1000) }) : ''}>
        {hardwareOf(detail).join(' · ')}
      </span>
    </div>
  )
}

function SchedulerState({ detail }: { detail: NodeDetail }) {
  if (!detail.schedulerState) return null
  const reason = detail.record?.schedulerReason
  return (
    <span class={/down|drain|fail/i.test(detail.schedulerState) ? 'badge warn' : 'badge'} title={reason}>
      {detail.schedulerState}
      {reason && `: ${reason}`}
    </span>
  )
}

function hardwareOf({ record: r }: NodeDetail): string[] {
  if (r === null) return []
  const cores =
    r.sockets && r.cores && t('node.cores', { sockets: r.sockets, cores: r.cores, threads: r.threads ?? r.cores })
  const numa = (r.numaNodes ?? 0) > 1 && t('node.numa', { count: r.numaNodes ?? 0 })
  const gpus = r.gpus && r.gpus.length > 0 && `${r.gpus.length} × ${r.gpus[0]?.model ?? 'GPU'}`
  const memory = r.memoryBytes !== undefined && formatBytes(r.memoryBytes)
  return [r.cpuModel, cores, numa, memory, gpus, r.os, r.kernel]
    .filter(x => typeof x === 'string')
    .filter(x => x !== '')
}
