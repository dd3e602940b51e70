/**
 * The file of rules: YAML with `rules`, `receivers` and `owners`. It is read again when it changes; one that is wrong says
 * which line and what to write, and what was read before stays in force.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Compile } from 'typebox/compile'
import { type Document, isCollection, isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import { hint } from '../errors.ts'
import { checkRule, type Problem, schemaProblem, told } from './check.ts'
import { checkReceiverNames, checkRuleNames, type Names, namesOf } from './names.ts'
import { CHATS, Owners, RECEIVERS, type Receiver } from './receiver.ts'
import type { Rule } from './rule.ts'

export interface RuleFile {
  rules: Rule[]
  receivers: Receiver[]
  owners: Owners
}

export const NO_FILE: RuleFile = { rules: [], receivers: [], owners: {} }

/** What is wrong with the file, a line each: `alerts.yaml:12: above …`. */
export class RuleFileError extends Error {
  readonly code = 'rules'
}

type Tree = Record<string, unknown>
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value)

const ADVICE: Readonly<Record<string, string>> = {
  UNEXPECTED_TOKEN: ' Put quotes around a text that begins with { or holds ": ".',
  MISSING_CHAR: ' Lines of one entry begin below each other, those of the next one with "- ".',
  BAD_INDENT: ' Lines of one entry begin below each other.',
  TAB_AS_INDENT: ' Write blanks.',
}

/** Pure. `known` are the rules that one of the file can change by name; `others` may be named too. */
export function parseRuleFile(
  text: string,
  name: string,
  known: ReadonlyMap<string, Rule>,
  others: readonly Rule[] = [],
): RuleFile {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, merge: true })
  const [broken] = document.errors
  if (broken) {
    const advice = ADVICE[broken.code] ?? ''
    const said = broken.message.split('\n')[0]?.replace(/ at line .*/, '.')
    throw new RuleFileError(`${name}:${lines.linePos(broken.pos[0]).line}: ${said}${advice}`)
  }
  const tree: unknown = document.toJS() ?? {}
  const problems: Problem[] = []
  const file = isTree(tree)
    ? {
        rules: rulesIn(tree, known, problems),
        receivers: receiversIn(tree, problems),
        owners: ownersIn(tree, problems),
      }
    : NO_FILE
  if (!isTree(tree)) problems.push({ path: [], message: 'write rules:, receivers: and owners:' })
  else problems.push(...strangeKeys(tree), ...twice(file.rules, 'rules'), ...twice(file.receivers, 'receivers'))
  // A rule that is wrong in itself is told of first: who names it may well name it right.
  if (problems.length === 0)
    problems.push(...strangeNames(file, namesOf([...known.values(), ...others, ...file.rules], file.receivers)))
  if (problems.length === 0) return file
  const told = problems
    .slice(0, 10)
    .map(({ path, message }) => `${name}:${lineOf(document, lines, path)}: ${placeOf(path)}${message}`)
  throw new RuleFileError(told.join('\n'))
}

const strangeKeys = (tree: Tree): Problem[] =>
  Object.keys(tree)
    .filter(key => !['rules', 'receivers', 'owners'].includes(key))
    .map(key => ({ path: [key], message: `there is no key ${key}: write rules, receivers or owners` }))

const twice = (list: readonly { name: string }[], key: string): Problem[] =>
  list.flatMap(({ name }, i) =>
    list.findIndex(other => other.name === name) < i
      ? [{ path: [key, i, 'name'], message: `${name} is there twice: give it another name` }]
      : [],
  )

function strangeNames({ rules, receivers }: RuleFile, names: Names): Problem[] {
  const below = (key: string, i: number, problems: Problem[]) =>
    problems.map(problem => ({ ...problem, path: [key, i, ...problem.path] }))
  return [
    ...rules.flatMap((rule, i) => below('rules', i, checkRuleNames(rule, names))),
    ...receivers.flatMap((receiver, i) => below('receivers', i, checkReceiverNames(receiver, names))),
  ]
}

const listIn = (tree: Tree, key: string, problems: Problem[]): unknown[] => {
  const list = tree[key] ?? []
  if (Array.isArray(list)) return list
  problems.push({ path: [key], message: 'write a list: each entry begins with "- "' })
  return []
}

function rulesIn(tree: Tree, known: ReadonlyMap<string, Rule>, problems: Problem[]): Rule[] {
  return listIn(tree, 'rules', problems).flatMap((given, i) => {
    const checked = checkRule(isTree(given) ? overridden(known.get(String(given.name)), given) : given)
    if ('rule' in checked) return [checked.rule]
    if (isTree(given) && given.scope === undefined && typeof given.name === 'string' && !known.has(given.name)) {
      const message = `no rule ${given.name} comes with Jobsight, and one of your own needs a scope.${hint(given.name, [...known.keys()], 'rule')}`
      problems.push({ path: ['rules', i, 'name'], message })
      return []
    }
    problems.push(...checked.problems.map(p => ({ ...p, path: ['rules', i, ...p.path] })))
    return []
  })
}

/** A rule that names only what differs from one of the same name. Another subject or threshold takes the old one's place. */
export function overridden(rule: Rule | undefined, given: Tree): Tree {
  if (rule === undefined) return given
  const base: Tree = { ...rule }
  const drop = (...keys: string[]) => {
    for (const key of keys) delete base[key]
  }
  if (['metric', 'figure', 'function'].some(key => given[key] !== undefined))
    drop('metric', 'figure', 'function', 'share')
  if (given.above !== undefined || given.below !== undefined) drop('above', 'below', 'clear')
  return { ...base, ...given }
}

const CHECKED = {
  webhook: Compile(RECEIVERS.webhook),
  alertmanager: Compile(RECEIVERS.alertmanager),
  mail: Compile(RECEIVERS.mail),
  chat: Compile(RECEIVERS.chat),
}
const KINDS = ['webhook', 'alertmanager', 'mail', ...CHATS] as const
const isKind = (kind: unknown): kind is Receiver['kind'] => KINDS.some(known => known === kind)

function receiversIn(tree: Tree, problems: Problem[]): Receiver[] {
  return listIn(tree, 'receivers', problems).flatMap((given, i) => {
    const kind = isTree(given) ? given.kind : undefined
    if (!isKind(kind)) {
      problems.push({ path: ['receivers', i, 'kind'], message: `write kind: one of ${KINDS.join(', ')}` })
      return []
    }
    const check = CHECKED[kind === 'webhook' || kind === 'alertmanager' || kind === 'mail' ? kind : 'chat']
    const receiver: unknown = given
    if (check.Check(receiver)) {
      if (receiver.kind === 'mail' && (receiver.to === undefined) !== (receiver.toOwner === true))
        problems.push({ path: ['receivers', i], message: 'write either to: with addresses or toOwner: true' })
      return [receiver]
    }
    problems.push(
      ...check
        .Errors(receiver)
        .filter(told)
        .slice(0, 5)
        .map(e => schemaProblem(e, []))
        .map(p => ({ ...p, path: ['receivers', i, ...p.path] })),
    )
    return []
  })
}

const CheckedOwners = Compile(Owners)
function ownersIn(tree: Tree, problems: Problem[]): Owners {
  const owners: unknown = tree.owners ?? {}
  if (CheckedOwners.Check(owners)) return owners
  problems.push({ path: ['owners'], message: 'write domain: and addresses: (user: address)' })
  return {}
}

/** Line of the deepest part of the path that is there. */
function lineOf(document: Document, lines: LineCounter, path: readonly (string | number)[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const parent: unknown = depth === 1 ? document.contents : document.getIn(path.slice(0, depth - 1), true)
    const last = path[depth - 1]
    const pair = isMap(parent) ? parent.items.find(item => isScalar(item.key) && item.key.value === last) : undefined
    const node: unknown = pair ? pair.key : isCollection(parent) ? parent.get(last, true) : undefined
    const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined
    if (Array.isArray(range)) return lines.linePos(Number(range[0])).line
  }
  return 1
}

const placeOf = (path: readonly (string | number)[]): string => {
  const text = path.map(part => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('')
  return text === '' ? '' : `${text.slice(1)}: `
}

export interface WatchedFile {
  /** Reads it again if it changed, or rules that it may name did; an error of the last change, until it is mended. */
  read(known: ReadonlyMap<string, Rule>, others: readonly Rule[]): { file: RuleFile; error: string | undefined }
}

/** By content, not by time: an editor that writes a new file and an equal file copied over are both told right. */
export function watchRuleFile(path: string): WatchedFile {
  let seen = ''
  let file = NO_FILE
  let error: string | undefined
  return {
    read(known, others) {
      let text: string
      try {
        text = readFileSync(path, 'utf8')
      } catch (cause) {
        error = `cannot read ${path}: ${cause instanceof Error ? cause.message : cause}`
        seen = ''
        return { file, error }
      }
      const named = others.flatMap(({ name, labels = {} }) => [name, ...Object.keys(labels)])
      const hash = createHash('sha256')
        .update(`${named.join(' ')}\n${text}`)
        .digest('hex')
      if (hash === seen) return { file, error }
      seen = hash
      try {
        file = parseRuleFile(text, path, known, others)
        error = undefined
      } catch (cause) {
        if (!(cause instanceof RuleFileError)) throw cause
        error = cause.message
      }
      return { file, error }
    },
  }
}
