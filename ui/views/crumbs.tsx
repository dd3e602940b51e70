/** cluster / job / node / process: each a link up, and a chooser of what else there is on its level. */
import type { Clusters } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { formatCount, formatRatio } from '../format.ts'
import { formatPlace, NOWHERE } from '../state.ts'
import { t, term } from '../words.ts'
import { Options, Popover } from './popover.tsx'
import { endedOf } from './processes.tsx'
import { linkTo, type Page, scopeOf } from './scope.ts'

export function Crumbs({ page, clusters }: { page: Page; clusters: Clusters | undefined }) {
  const { job, node, pid, jobs } = page.place
  const last = pid !== undefined ? 'process' : node !== '' ? 'node' : job !== '' || jobs ? 'job' : 'cluster'
  return (
    <ol class="crumbs">
      <Crumb name={page.cluster} href={linkTo(page, {})} here={last === 'cluster'} label={t('crumb.cluster')}>
        {close => <ClusterOptions clusters={clusters} close={close} />}
      </Crumb>
      {(job !== '' || jobs) && (
        <Crumb
          name={job === '' ? t('bar.jobs') : t('crumb.jobNamed', { id: job })}
          href={linkTo(page, job === '' ? { jobs: true } : { job })}
          here={last === 'job'}
          label={t('crumb.job')}
        >
          {close => <JobOptions page={page} close={close} />}
        </Crumb>
      )}
      {node !== '' && (
        <Crumb name={node} href={linkTo(page, { job, node })} here={last === 'node'} label={t('crumb.node')}>
          {close => <NodeOptions page={page} close={close} />}
        </Crumb>
      )}
      {pid !== undefined && (
        <Crumb name={String(pid)} href={formatPlace(page.place)} here label={t('crumb.process')}>
          {close => <ProcessOptions page={page} close={close} />}
        </Crumb>
      )}
    </ol>
  )
}

interface CrumbProps {
  name: string
  href: string
  here: boolean
  label: string
  children: (close: () => void) => preact.ComponentChildren
}

const Crumb = ({ name, href, here, label, children }: CrumbProps) => (
  <li>
    <a href={href} class={`cut${here ? ' here' : ''}`} aria-current={here ? 'page' : undefined} title={name}>
      {name}
    </a>
    <Popover class="chooser" label={label} face="▾">
      {children}
    </Popover>
  </li>
)

function ClusterOptions({ clusters, close }: { clusters: Clusters | undefined; close: () => void }) {
  const options = (clusters?.clusters ?? []).map(c => ({
    name: c.cluster,
    hint: c.simulated ? t('bar.simulated') : t('crumb.nodes', { count: c.nodes }),
    href: formatPlace({ ...NOWHERE, cluster: c.cluster }),
  }))
  return <Options options={options} close={close} />
}

type Chooser = { page: Page; close: () => void }

function JobOptions({ page, close }: Chooser) {
  const jobs = useAnswer(ask.jobs(page.cluster, { limit: 60 }))
  const options = (jobs.data?.jobs ?? []).map(j => ({
    name: `${j.id} ${j.name}`,
    hint: `${j.user} · ${term('state', j.state)}`,
    href: formatPlace({ ...NOWHERE, cluster: page.cluster, job: j.id }),
  }))
  const all = { name: t('crumb.allJobs'), href: linkTo(page, { jobs: true }) }
  return <Options options={[all, ...options]} close={close} asking={t('ask.jobs')} />
}

function NodeOptions({ page, close }: Chooser) {
  const { job } = page.place
  const nodes = useAnswer(ask.nodes(page.cluster))
  const inJob = (nodes.data?.nodes ?? []).filter(n => job === '' || n.jobs.some(j => j.id === job))
  const options = (inJob.length > 0 ? inJob : (nodes.data?.nodes ?? [])).map(n => ({
    name: n.node,
    hint: n.state === 'silent' ? t('state.silent') : formatRatio(n.values.cpu_busy ?? null),
    href: linkTo(page, { job, node: n.node }),
  }))
  return <Options options={options} close={close} asking={t('ask.nodes')} />
}

function ProcessOptions({ page, close }: Chooser) {
  const { job, node } = page.place
  const found = useAnswer(ask.processes(scopeOf(page, page.span, { node, job: job || undefined }), 'cpu', 60))
  const options = (found.data?.processes ?? []).map(p => ({
    name: `${p.name} ${p.ended === null ? p.pid : endedOf(p.ended)}`,
    hint: `${p.user} · ${t('unit.cores', { count: formatCount((p.cpuUser ?? 0) + (p.cpuSystem ?? 0)) })}`,
    href: linkTo(page, { job, node, pid: p.pid }, { start: String(p.start) }),
  }))
  return <Options options={options} close={close} asking={t('ask.processes')} />
}
