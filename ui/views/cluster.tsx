/** The cluster: is anything wrong, where is it hot, whose job is that, and what does it run. */

import { useEffect, useMemo } from 'preact/hooks'
import { ask, useAnswer } from '../client.ts'
import { firstKnown } from '../layout/series.ts'
import { DEFAULT_METRIC, fullOf } from '../metrics.ts'
import { seesOwnOnly, session } from '../session.ts'
import { useStore } from '../state.ts'
import { t } from '../words.ts'
import { ClusterLine } from './facts.tsx'
import { Hottest } from './hottest.tsx'
import { indexJobs } from './nodejobs.ts'
import { heatRows, NodeMap, ORDERS } from './nodemap.tsx'
import { bucketsFor, type Page, scopeOf, tellBeginning } from './scope.ts'
import { Stacks } from './stacks.tsx'
import { Empty, Shown } from './states.tsx'
import { TopFunctions } from './topfunctions.tsx'

/** Cells that one answer may hold: fewer columns where there are many nodes. */
const CELLS_MAX = 200_000
const heatBuckets = (nodes: number) =>
  Math.max(12, Math.min(bucketsFor(0.55), Math.floor(CELLS_MAX / Math.max(1, nodes))))

export function ClusterView({ page }: { page: Page }) {
  const answers = useCluster(page)
  const { heat, nodes } = answers
  if (page.facts.nodes === 0) return <NoNodes />
  return (
    <>
      <ClusterLine facts={page.facts} nodes={nodes.data} />
      <div class="columns two">
        <Shown answer={heat}>
          {data => <NodeMap {...answers.common} heat={data} answers={[heat, nodes, answers.bands]} />}
        </Shown>
        <div class="column">
          <Shown answer={heat}>{data => <Hottest {...answers.common} heat={data} />}</Shown>
          <TopFunctions page={page} />
        </div>
      </div>
      <div style={{ height: '12px' }} />
      <Stacks scope={scopeOf(page, page.calm)} title={t('stacks.cluster')} name={page.cluster} height={420} />
    </>
  )
}

/** Everything the page asks, and what is made of it. */
function useCluster(page: Page) {
  const { place, span, cluster } = page
  const metric = place.query.metric ?? DEFAULT_METRIC
  const order = ORDERS.find(o => o === place.query.order) ?? 'hottest'
  const catalogue = useAnswer(ask.catalogue(cluster), cluster)
  const nodes = useAnswer(ask.nodes(cluster), cluster, page.tick)
  const buckets = heatBuckets(page.facts.nodes)
  const heat = useAnswer(span && ask.heatmap(scopeOf(page, span), metric, order, buckets), `${cluster} ${metric}`)
  const bands = useAnswer(span && ask.bands(scopeOf(page, span)), cluster)
  const jobOn = useMemo(() => indexJobs(bands.data), [bands.data])
  const at = page.focus?.to ?? 0
  const rows = useMemo(() => heatRows(heat.data, nodes.data, jobOn, at), [heat.data, nodes.data, jobOn, at])
  const scale = useMemo(() => fullOf(heat.data?.unit ?? '', heat.data?.full, rows), [heat.data, rows])
  useEffect(() => {
    if (heat.data) tellBeginning(cluster, '', firstKnown(heat.data.from, heat.data.bucketMs, heat.data.rows))
  }, [heat.data])
  const common = {
    page,
    metric,
    order,
    catalogue: catalogue.data,
    nodes: nodes.data,
    bands: bands.data,
    jobOn,
    rows,
    scale,
  }
  return { heat, nodes, bands, common }
}

function NoNodes() {
  if (seesOwnOnly(useStore(session)))
    return (
      <Empty title={t('cluster.noOwn')}>
        <p>{t('cluster.noOwnHow')}</p>
      </Empty>
    )
  return (
    <Empty title={t('cluster.noNodes')}>
      <p>{t('app.noClusterHow')}</p>
      <pre class="mono">{`jobsight collect --endpoint ${location.origin}`}</pre>
    </Empty>
  )
}
