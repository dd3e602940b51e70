/** A job: what it asked and used, what stands out, its nodes against each other, its stacks from all nodes as one. */
import type { Categories, JobDetail } from '../../query/api.ts'
import { type Answer, ask, useAnswer } from '../client.ts'
import { jobColour } from '../colour.ts'
import { formatTime } from '../format.ts'
import { t } from '../words.ts'
import { AlertLanes } from './alertlanes.tsx'
import { alertSheet } from './alerttable.tsx'
import { CategoryBar, CategoryChart } from './categories.tsx'
import { CompareButton } from './comparechoice.tsx'
import { JobGroups } from './jobgroups.tsx'
import { JobNodesPanel } from './jobnodes.tsx'
import { StateWord } from './jobs.tsx'
import { JobUsed } from './jobused.tsx'
import { Panel } from './panel.tsx'
import { ProcessTable } from './processes.tsx'
import { Ranks } from './ranks.tsx'
import { bucketsFor, linkTo, type Page, scopeOf } from './scope.ts'
import { TimeStack } from './stack.tsx'
import { Stacks } from './stacks.tsx'
import { Empty, Shown } from './states.tsx'

export function JobView({ page }: { page: Page }) {
  const id = page.place.job
  const detail = useAnswer(ask.job(page.cluster, id), id, Math.floor(page.now / 30_000))
  return <Shown answer={detail}>{data => <Job page={page} data={data} />}</Shown>
}

function Job({ page, data }: { page: Page; data: JobDetail }) {
  const { id } = data.job
  const only = page.place.query.nodes
  const rank = rankOf(page)
  const scope = scopeOf(page, page.calm, { job: id, node: only, rank })
  const categories = useAnswer(page.calm && ask.categories(scope, bucketsFor(0.8)), id)
  return (
    <>
      <Identity page={page} data={data} />
      {data.job.start === null ? (
        <Empty title={t('job.notStarted')}>
          <p>{data.record.reason ?? ''}</p>
        </Empty>
      ) : (
        <div class="column">
          <JobUsed page={page} data={data} />
          <Findings page={page} data={data} />
          <JobAlerts page={page} id={id} />
          {categories.data && <Spent page={page} answer={categories} spent={categories.data} />}
          <JobNodesPanel page={page} id={id} />
          <Ranks page={page} id={id} />
          <JobGroups page={page} data={data} />
          <Stacks scope={scope} title={stacksTitle(only, rank)} name={`job-${id}`} height={460} />
          <ProcessTable page={page} scope={scope} showNode limit={40} />
        </div>
      )}
    </>
  )
}

/** The rank that the stacks and processes of the page are kept to. */
function rankOf(page: Page): number | undefined {
  const { rank } = page.place.query
  return rank !== undefined && /^\d+$/.test(rank) ? Number(rank) : undefined
}

const stacksTitle = (only: string | undefined, rank: number | undefined): string =>
  rank !== undefined ? t('ranks.stacks', { rank }) : only ? t('stacks.onNodes', { nodes: only }) : t('stacks.job')

/** What fired for the job and its nodes while it ran. */
function JobAlerts({ page, id }: { page: Page; id: string }) {
  const answer = useAnswer(page.span && ask.alertHistory(scopeOf(page, page.span, { job: id }), 100), id, page.tick)
  const alerts = answer.data?.alerts ?? []
  if (alerts.length === 0 || page.span === undefined) return null
  return (
    <Panel title={t('alert.lanes')} name={`${id}-alerts`} answers={[answer]} sheet={() => alertSheet(alerts)}>
      <TimeStack span={page.span} gutter={168} stepMs={10_000} label={t('alert.lanes')}>
        {frame => <AlertLanes frame={frame} history={answer.data} page={page} />}
      </TimeStack>
    </Panel>
  )
}

/** What the CPU time was, in all and over time. */
function Spent({ page, answer, spent }: { page: Page; answer: Answer<Categories>; spent: Categories }) {
  const { over, categories } = spent
  if (categories.length === 0) return null
  return (
    <Panel
      title={t('categories.title')}
      name={`${page.place.job}-categories`}
      answers={[answer]}
      sheet={() => ({
        columns: ['category', 'CPU seconds', 'samples'],
        rows: categories.map(c => [c.category, c.seconds, c.samples]),
      })}
    >
      <div class="pad">
        <CategoryBar categories={categories} />
      </div>
      {over && page.span && (
        <TimeStack span={page.span} gutter={168} stepMs={over.bucketMs} label={t('categories.title')}>
          {frame => <CategoryChart frame={frame} over={over} />}
        </TimeStack>
      )}
    </Panel>
  )
}

function Identity({ page, data }: { page: Page; data: JobDetail }) {
  const { job, record } = data
  const code = record.exitCode ?? 0
  return (
    <div class="identity">
      <h1>
        <i class="dot" style={{ background: jobColour(job.id), width: '12px', height: '12px' }} /> {job.id}{' '}
        <span class="soft">{job.name}</span>
      </h1>
      <StateWord state={job.state} />
      {record.schedulerState && record.schedulerState.toLowerCase() !== job.state && (
        <span class="dim">{record.schedulerState}</span>
      )}
      {(code !== 0 || record.signal !== undefined) && (
        <span class="badge alert">
          {record.signal === undefined ? t('job.exit', { code }) : t('job.signal', { signal: record.signal })}
        </span>
      )}
      {record.reason && record.reason !== 'None' && <span class="dim">{record.reason}</span>}
      <a href={linkTo(page, { jobs: true }, { q: `user:${job.user}` })}>{job.user}</a>
      <span class="soft">{[job.account, job.queue].filter(x => x !== '').join(' · ')}</span>
      <span class="soft">
        {job.start === null
          ? t('job.submitted', { time: job.submit === null ? '–' : formatTime(job.submit) })
          : `${formatTime(job.start)} – ${job.end === null ? t('job.now') : formatTime(job.end)}`}
      </span>
      {job.start !== null && <CompareButton page={page} runsOf={job} />}
      {record.command && (
        <code class="command cut" title={`${record.workDir ?? ''} ${record.command}`}>
          {record.command}
        </code>
      )}
    </div>
  )
}

function Findings({ page, data }: { page: Page; data: JobDetail }) {
  if (data.findings.length === 0) return null
  return (
    <Panel
      title={t('job.findings')}
      name={`${data.job.id}-findings`}
      sheet={() => ({
        columns: ['severity', 'text', 'node'],
        rows: data.findings.map(f => [f.severity, f.text, f.node]),
      })}
    >
      <ul class="findings">
        {data.findings.map(f => (
          <li key={f.text}>
            <span class={f.severity} />
            <span>{f.text}</span>
            {f.node && (
              <a
                class="button plain"
                href={linkTo(page, { job: data.job.id, node: f.node }, { with: `job:${data.job.id}` })}
              >
                {t('job.see', { node: f.node })} →
              </a>
            )}
          </li>
        ))}
      </ul>
    </Panel>
  )
}
