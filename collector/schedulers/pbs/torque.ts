/** Torque has no JSON: `qstat -t -x` and `pbsnodes -x`, as the attributes that PBS would print. After its manual; not captured. */
import { SchedulerError } from '../contract.ts'
import { type Element, elementsOf, parseXml, textOf } from '../xml.ts'
import type { Attributes } from './attributes.ts'

/** An empty queue is an empty text. */
export function parseTorqueJobs(text: string): Attributes {
  if (text.trim() === '') return {}
  return Object.fromEntries(
    elementsOf(rootOf(text, 'qstat -x'), 'Job').map(job => [textOf(job, 'Job_Id') ?? '', attributesOf(job)]),
  )
}

export function parseTorqueNodes(text: string): Attributes {
  return Object.fromEntries(
    elementsOf(rootOf(text, 'pbsnodes -x'), 'Node').map(node => {
      const told = attributesOf(node)
      const ncpus = textOf(node, 'np') ?? '0'
      return [
        textOf(node, 'name') ?? '',
        { ...told, comment: textOf(node, 'note') ?? '', resources_available: { ncpus } },
      ]
    }),
  )
}

function rootOf(text: string, command: string): Element {
  const root = parseXml(text)
  if (root === undefined) throw new SchedulerError('unreadable', `\`${command}\` printed no whole XML`)
  return root
}

/** <Resource_List><ncpus>1</ncpus></Resource_List> -> {Resource_List: {ncpus: 1}}; the environment is left out. */
function attributesOf(element: Element): Attributes {
  return Object.fromEntries(
    element.children
      .filter(child => child.name !== 'Variable_List')
      .map(child => [child.name, child.children.length > 0 ? attributesOf(child) : child.text]),
  )
}
