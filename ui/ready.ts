/** The texts of rules that come with Jobsight in the person's language; what somebody wrote in their place stays as it is. */
import { language } from './prefs.ts'
import { READY } from './words/ready.ts'

const chinese = (): boolean => language.get() === 'zh'

/** What people call a rule; in English that is its name. */
export const nameOf = (rule: string): string => (chinese() ? READY[rule]?.name : undefined) ?? rule

export function summaryOf(rule: string, summary: string): string {
  const [english, own] = READY[rule]?.summary ?? []
  return chinese() && summary === english && own !== undefined ? own : summary
}

/** What the server put in place of {names} in its own message is put into the other one. */
export function messageOf(rule: string, message: string): string {
  const [english, own] = READY[rule]?.message ?? []
  if (!chinese() || english === undefined || own === undefined) return message
  const found = patternOf(english).exec(message)?.groups
  return found === undefined ? message : own.replace(/\{(\w+)\}/g, (_, name: string) => found[name] ?? '')
}

/** `{node} is {value} full` -> ^(?<node>.+?) is (?<value>.+?) full$ */
const patternOf = (template: string): RegExp =>
  new RegExp(`^${template.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{(\w+)\}/g, '(?<$1>.+?)')}$`)
