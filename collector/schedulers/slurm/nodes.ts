/**
 * Nodes of Slurm: `sinfo --json` up to 22.05 lists nodes; from 23.02 on it lists groups of nodes, and
 * `scontrol show nodes --json` lists nodes. Without JSON, `sinfo -N` in a format of ours (text.ts).
 */
import { type PolledNode, shortName } from '../contract.ts'
import { asList, asNumber, asRecord, asText, cut, present } from '../values.ts'
import { type SlurmAnswer, words } from './json.ts'

export interface SlurmNode {
  /** NodeName, what job records call it. */
  name: string
  /** NodeHostName, what the machine calls itself. */
  hostName: string | undefined
  /** NodeAddr, by which the others reach it: a name or an IP address. */
  address: string | undefined
  /** Base state and flags: IDLE DRAIN. */
  states: string[]
  reason: string | undefined
  cpus: number | undefined
  queues: string[]
}

/** Undefined where this release lists groups: then ask scontrol. */
export function parseNodes(answer: SlurmAnswer): SlurmNode[] | undefined {
  if (answer.body.nodes === undefined) return undefined
  return asList(answer.body.nodes).flatMap(entry => {
    const json = asRecord(entry)
    const name = asText(json?.name)
    if (json === undefined || name === undefined) return []
    return [
      {
        name,
        hostName: asText(json.hostname),
        address: asText(json.address),
        states: [...words(json.state), ...words(json.state_flags)].flatMap(splitStates),
        reason: asText(json.reason),
        cpus: asNumber(json.cpus),
        queues: asList(json.partitions).flatMap(queue => asText(queue) ?? []),
      },
    ]
  })
}

/** `IDLE`, `down*`, `idle+drain`, `mixed-` (planned) … -> words in capitals */
export function splitStates(state: string): string[] {
  const flags = [...state.matchAll(/[*]$/g)].map(() => 'NOT_RESPONDING')
  return [...state.replace(/[*~#!%$@^-]+$/, '').split('+'), ...flags]
    .filter(word => word !== '')
    .map(w => w.toUpperCase())
}

/**
 * One record a machine. Its name is the one the machine gives itself, since that is what its collector says; NodeName then
 * and NodeAddr are aliases. Where several slurmds share a machine, NodeName tells them apart.
 */
export function nodesOf(nodes: readonly SlurmNode[]): { records: PolledNode[]; nameOf: Map<string, string> } {
  const isOne = alone(nodes.flatMap(({ hostName, address }) => [...new Set([hostName, address])]))
  const isLoopback = (address = '') => /^(127\.|::1$|localhost)/.test(address)
  const nameOf = new Map<string, string>()
  const records = nodes.map(node => {
    const own = shortName(isOne(node.hostName) ? (node.hostName ?? node.name) : node.name)
    nameOf.set(node.name, own)
    const address = isOne(node.address) && !isLoopback(node.address) ? node.address : undefined
    const { name, hostName = name } = node
    const aliases = [...new Set([name, hostName, address ?? name])].filter(alias => alias !== own)
    return present<PolledNode>({
      node: own,
      aliases: aliases.length > 0 ? aliases : undefined,
      schedulerState: nodeState(node.states),
      schedulerReason: cut(node.reason, 1024),
      schedulerCores: node.cpus,
      schedulerQueues: node.queues.length > 0 ? node.queues : undefined,
    })
  })
  return { records, nameOf }
}

/** Whether a name is one node's only. */
function alone(names: readonly (string | undefined)[]): (name: string | undefined) => boolean {
  const counts = new Map<string, number>()
  for (const name of names) if (name) counts.set(name, (counts.get(name) ?? 0) + 1)
  return name => name !== undefined && counts.get(name) === 1
}

/** IDLE+DRAIN is drained, ALLOCATED+DRAIN is draining (as sinfo prints it); other flags are appended: idle+completing. */
function nodeState(states: readonly string[]): string {
  const [base, ...flags] = states.map(state => state.toLowerCase())
  if (base === undefined) return 'unknown'
  const busy = base === 'allocated' || base === 'mixed' || flags.includes('completing')
  const word = flags.includes('drain') && base !== 'down' ? (busy ? 'draining' : 'drained') : base
  const rest = flags.filter(flag => flag !== 'drain' || base === 'down')
  return [word, ...rest].join('+').slice(0, 255)
}
