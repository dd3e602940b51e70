/**
 * The rules that come with Jobsight: on from the first start, each can be switched off or changed by a rule of the same name
 * in the file or on the page, which needs to name only what differs:
 *
 *   rules:
 *     - name: job-idle
 *       below: 0.05
 *     - name: node-swapping
 *       enabled: false
 *
 * A rule that is wrong costs more trust than ten right ones earn: windows are long, thresholds far out, and what follows from
 * something else is inhibited by it.
 */
import { DEVICE_RULES } from './library/devices.ts'
import { JOB_RULES } from './library/jobs.ts'
import { NODE_RULES } from './library/nodes.ts'
import type { Rule } from './rule.ts'

export const LIBRARY: readonly Rule[] = [...JOB_RULES, ...NODE_RULES, ...DEVICE_RULES]
