/** The page: the bar on top, below it the view of the place. */
import { useEffect, useState } from 'preact/hooks'
import { signedOut } from '../client.ts'
import { formatAgo } from '../format.ts'
import { language } from '../prefs.ts'
import { session } from '../session.ts'
import { formatPlace, NOWHERE, place, useStore, viewOf } from '../state.ts'
import { endsBefore, followed } from '../time.ts'
import { t } from '../words.ts'
import { AlertsView } from './alerts.tsx'
import { Bar } from './bar.tsx'
import { ClusterView } from './cluster.tsx'
import { CompareView } from './compare.tsx'
import { JobView } from './job.tsx'
import { JobsView } from './jobs.tsx'
import { Jump } from './jump.tsx'
import { Keys, useKeys } from './keys.tsx'
import { NodeView } from './node.tsx'
import { ProcessView } from './process.tsx'
import { type Page, usePage } from './scope.ts'
import { NoRole, SignIn } from './signin.tsx'
import { Asking, Empty, Failed } from './states.tsx'
import { Tip } from './tip.tsx'

export type Dialog = 'none' | 'jump' | 'keys'

/** The page, or the way in where the server knows nobody here. */
export function App() {
  useStore(language)
  const who = useStore(session)
  if (useStore(signedOut)) return <SignIn />
  if (who?.user && who.roles.length === 0) return <NoRole who={who} />
  return <Signed />
}

function Signed() {
  const { clusters, page } = usePage()
  const [dialog, setDialog] = useState<Dialog>('none')
  useKeys(page, dialog, setDialog)
  useEffect(() => {
    document.title = titleOf(page)
  }, [page?.place])
  return (
    <>
      <a class="unseen" href="#main">
        {t('app.skip')}
      </a>
      <Bar page={page} clusters={clusters.data} open={setDialog} />
      <main id="main">
        {page ? (
          <>
            <Silence page={page} />
            <View page={page} />
          </>
        ) : clusters.error ? (
          <Failed answer={clusters} />
        ) : clusters.data ? (
          <NoCluster wanted={place.get().cluster} known={clusters.data.clusters.map(c => c.cluster)} />
        ) : (
          <Asking words={t('ask.clusters')} />
        )}
      </main>
      {dialog === 'jump' && <Jump cluster={page?.cluster ?? ''} close={() => setDialog('none')} />}
      {dialog === 'keys' && <Keys close={() => setDialog('none')} />}
      <Tip />
    </>
  )
}

function View({ page }: { page: Page }) {
  const { node, job, pid } = page.place
  switch (viewOf(page.place)) {
    case 'cluster':
      return <ClusterView key={page.cluster} page={page} />
    case 'alerts':
      return <AlertsView key={page.cluster} page={page} />
    case 'jobs':
      return <JobsView key={page.cluster} page={page} />
    case 'job':
      return <JobView key={job} page={page} />
    case 'node':
      return <NodeView key={node} page={page} />
    case 'compare':
      return <CompareView page={page} />
    case 'process':
      return <ProcessView key={`${node}:${pid}`} page={page} />
  }
}

/** Values stopped coming: said once, and the page shows the newest it has. */
function Silence({ page }: { page: Page }) {
  const last = endsBefore(page.facts.lastSeen, page.now)
  if (last === undefined || followed(page.place) === undefined) return null
  return (
    <p class="notice" role="status">
      {t(page.facts.simulated ? 'silence.simulated' : 'silence.real', { ago: formatAgo(last, page.now) })}
    </p>
  )
}

function NoCluster({ wanted, known }: { wanted: string; known: string[] }) {
  if (wanted !== '' && known.length > 0)
    return (
      <Empty title={t('app.noSuchCluster', { name: wanted })}>
        <ul>
          {known.map(name => (
            <li key={name}>
              <a class="button" href={formatPlace({ ...NOWHERE, cluster: name })}>
                {name}
              </a>
            </li>
          ))}
        </ul>
      </Empty>
    )
  return (
    <Empty title={t('app.noCluster')}>
      <p>{t('app.noClusterHow')}</p>
      <pre class="mono">{`jobsight collect --endpoint ${location.origin}\njobsight demo`}</pre>
    </Empty>
  )
}

function titleOf(page: Page | undefined): string {
  if (!page) return 'Jobsight'
  const { node, job, pid } = page.place
  const parts = [pid === undefined ? '' : String(pid), node, job, page.cluster].filter(p => p !== '')
  return `${parts.join(' · ')} – Jobsight`
}
