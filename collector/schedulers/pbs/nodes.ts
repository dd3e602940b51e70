/** `pbsnodes -av -F json`: one entry a vnode. (`-a` merges the vnodes of a host into nonsense: "state": "<various>".) */
import { type PolledNode, shortName } from '../contract.ts'
import { cut, present } from '../values.ts'
import { type Attributes, groupOf, valueIn } from './attributes.ts'

export interface PbsNodes {
  records: PolledNode[]
  /** vnode -> short host name */
  hostOf: Map<string, string>
}

export function nodesOf(vnodes: Attributes): PbsNodes {
  const hostOf = new Map<string, string>()
  const hosts = new Map<string, { vnode: string; attributes: Attributes }[]>()
  for (const [vnode, attributes] of Object.entries(vnodes)) {
    if (typeof attributes === 'string') continue
    const host = valueIn(groupOf(attributes, 'resources_available'), 'host') ?? vnode.replace(/\[\d+\]$/, '')
    const node = shortName(host)
    hostOf.set(vnode, node)
    hosts.set(node, [...(hosts.get(node) ?? []), { vnode, attributes }])
  }
  return { hostOf, records: [...hosts].map(([node, entries]) => nodeOf(node, entries)) }
}

function nodeOf(node: string, entries: readonly { vnode: string; attributes: Attributes }[]): PolledNode {
  const names = entries.flatMap(({ attributes }) => [
    valueIn(attributes, 'Mom'),
    valueIn(groupOf(attributes, 'resources_available'), 'host'),
  ])
  const aliases = [...new Set(names.filter(name => name !== undefined && name !== node))] as string[]
  const cores = entries.map(({ attributes }) =>
    Number(valueIn(groupOf(attributes, 'resources_available'), 'ncpus') ?? 0),
  )
  const queues = entries.flatMap(({ attributes }) => valueIn(attributes, 'queue') ?? [])
  return present<PolledNode>({
    node,
    aliases: aliases.length > 0 ? aliases : undefined,
    schedulerState: cut(stateOf(entries.map(e => e.attributes)), 255),
    schedulerReason: cut(
      entries.map(e => valueIn(e.attributes, 'comment')).find(c => c !== undefined),
      1024,
    ),
    schedulerCores: cores.reduce((a, b) => a + b, 0),
    schedulerQueues: queues.length > 0 ? [...new Set(queues)] : undefined,
  })
}

/** Words all schedulers share, where PBS's own are only about how full a vnode is: job-busy is full and healthy. */
function stateOf(vnodes: readonly Attributes[]): string {
  const words = new Set(vnodes.flatMap(vnode => (valueIn(vnode, 'state') ?? '').split(',').map(w => w.trim())))
  const trouble = [...words].filter(w => !/^(free|job-busy|job-exclusive|job-sharing|resv-exclusive|)$/.test(w))
  if (trouble.length > 0) return trouble.map(word => (word === 'offline' ? 'drained' : word.toLowerCase())).join('+')
  const used = vnodes
    .map(v => Number(valueIn(groupOf(v, 'resources_assigned'), 'ncpus') ?? 0))
    .reduce((a, b) => a + b, 0)
  const full = vnodes.every(
    v => valueIn(v, 'state') !== 'free' || valueIn(groupOf(v, 'resources_available'), 'ncpus') === '0',
  )
  return full && used > 0 ? 'allocated' : used > 0 ? 'mixed' : 'idle'
}
