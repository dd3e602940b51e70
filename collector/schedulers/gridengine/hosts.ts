/** `qhost -q -xml`: hosts, their slots in each queue, and what is wrong with them there. */
import { type PolledNode, shortName } from '../contract.ts'
import { cut, present } from '../values.ts'
import type { Element } from '../xml.ts'
import { rootOf } from './jobs.ts'

/** Letters of a queue's state, worst first. https://gridscheduler.sourceforge.net/htmlman/htmlman1/qstat.html */
const LETTERS: readonly (readonly [string, string])[] = [
  ['u', 'down'],
  ['E', 'error'],
  ['d', 'drained'],
  ['D', 'drained'],
  ['s', 'suspended'],
  ['S', 'suspended'],
  ['C', 'suspended'],
  ['A', 'suspend_alarm'],
  ['a', 'load_alarm'],
]

export function parseHosts(text: string): PolledNode[] {
  return rootOf(text, 'qhost -q -xml')
    .children.filter(child => child.name === 'host' && child.attributes.name !== 'global')
    .map(hostOf)
}

function hostOf(host: Element): PolledNode {
  const name = host.attributes.name ?? ''
  const node = shortName(name)
  const cores = Number(valueIn(host, 'hostvalue', 'num_proc'))
  const queues = host.children.filter(child => child.name === 'queue')
  return present<PolledNode>({
    node,
    aliases: name === node ? undefined : [name],
    schedulerState: cut(stateOf(queues, valueIn(host, 'hostvalue', 'load_avg')), 255),
    schedulerCores: Number.isFinite(cores) ? cores : undefined,
    schedulerQueues: queues.length > 0 ? queues.map(queue => queue.attributes.name ?? '') : undefined,
  })
}

function valueIn(element: Element, kind: string, name: string): string {
  return element.children.find(c => c.name === kind && c.attributes.name === name)?.text.trim() ?? ''
}

/** A host is as its best queue: one that is disabled in one queue still works in another. No load: its execd is silent. */
function stateOf(queues: readonly Element[], load: string): string {
  const letters = queues.map(queue => valueIn(queue, 'queuevalue', 'state_string'))
  if (queues.length > 0 && letters.every(state => state !== ''))
    return LETTERS.find(([letter]) => letters.every(state => state.includes(letter)))?.[1] ?? letters.join(',')
  if (load === '-') return 'down'
  const total = (name: string) =>
    queues.reduce((sum, queue) => sum + Number(valueIn(queue, 'queuevalue', name) || 0), 0)
  const [used, slots] = [total('slots_used'), total('slots')]
  return used === 0 ? 'idle' : used < slots ? 'mixed' : 'allocated'
}
