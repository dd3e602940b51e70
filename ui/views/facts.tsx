/** A line of facts: a number, what it is of, and how full that is. */
import type { ComponentChildren } from 'preact'
import type { Nodes } from '../../query/api.ts'
import { formatBytes, formatRatio, formatTime, formatWhole } from '../format.ts'
import { t } from '../words.ts'
import type { ClusterFacts } from './scope.ts'

interface FactProps {
  name: string
  value: string
  of: string
  share?: number
  /** A mark on the meter: what was handed out. */
  mark?: number
  title?: string
  children?: ComponentChildren
}

export function Fact({ name, value, of, share, mark, title, children }: FactProps) {
  const percent = (x: number) => `${Math.max(0, Math.min(1, Number.isFinite(x) ? x : 0)) * 100}%`
  return (
    <div class="fact" title={title}>
      <div class="name">{name}</div>
      <div class="value">
        {value} <small>{of}</small> {children}
      </div>
      {share !== undefined && (
        <div class="meter">
          <i style={{ width: percent(share) }} />
          {mark !== undefined && mark > 0 && <i class="mark" style={{ left: percent(mark) }} />}
        </div>
      )}
    </div>
  )
}

interface LineProps {
  facts: ClusterFacts
  nodes: Nodes | undefined
}

/** Is anything down, how full is it, who waits. */
export function ClusterLine({ facts, nodes }: LineProps) {
  return (
    <div class="facts">
      <NodeFacts facts={facts} nodes={nodes} />
      <CoreFacts facts={facts} />
      <Fact
        name={t('fact.memory')}
        value={formatBytes(facts.memoryUsedBytes)}
        of={t('fact.ofMemory', { bytes: formatBytes(facts.memoryBytes) })}
        share={facts.memoryUsedBytes / facts.memoryBytes}
      />
      <Fact name={t('fact.running')} value={formatWhole(facts.jobsRunning)} of={t('fact.jobs')} />
      <Fact name={t('fact.queued')} value={formatWhole(facts.jobsQueued)} of={t('fact.jobs')} />
      <Fact name={t('fact.lastSeen')} value={facts.lastSeen === null ? '–' : formatTime(facts.lastSeen, 1)} of="" />
    </div>
  )
}

function NodeFacts({ facts, nodes }: LineProps) {
  const silent = facts.nodes - facts.nodesUp
  const down = nodes?.nodes.filter(n => /down|drain|fail/i.test(n.schedulerState ?? '')).length ?? 0
  return (
    <>
      <Fact
        name={t('fact.nodes')}
        value={formatWhole(facts.nodesUp)}
        of={t('fact.up', { count: formatWhole(facts.nodes) })}
      >
        {silent > 0 && <small style={{ color: 'var(--alert)' }}>{t('fact.silent', { count: silent })}</small>}
        {down > 0 && <small style={{ color: 'var(--warn)' }}> {t('fact.down', { count: down })}</small>}
      </Fact>
      <Fact
        name={t('fact.busyNodes')}
        value={formatWhole(facts.nodesBusy)}
        of={t('fact.idle', { count: formatWhole(facts.nodesUp - facts.nodesBusy) })}
      />
    </>
  )
}

function CoreFacts({ facts }: { facts: ClusterFacts }) {
  const { cores, coresBusy, coresAllocated } = facts
  const allocated = formatWhole(coresAllocated)
  return (
    <>
      <Fact
        name={t('fact.cores')}
        value={formatWhole(coresBusy)}
        of={t('fact.ofCores', { count: formatWhole(cores) })}
        share={coresBusy / cores}
        mark={coresAllocated / cores}
        title={t('fact.coresWhy', { allocated, share: formatRatio(coresBusy / Math.max(1, coresAllocated)) })}
      />
      {coresAllocated > 0 && (
        <Fact name={t('fact.allocated')} value={allocated} of={formatRatio(coresAllocated / cores)} />
      )}
    </>
  )
}
