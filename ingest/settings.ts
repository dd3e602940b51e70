/**
 * File, then environment, then assignments of the command line -> what a schema describes. Errors name the key, and what it means.
 *
 *   collector.intervalMs:   collector: {intervalMs: 1000}   JOBSIGHT_COLLECTOR_INTERVAL_MS=1000   --set collector.intervalMs=1000
 */
import { readFileSync } from 'node:fs'
import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'

/** A mistake of the caller: told in one line, without a stack. */
export class UsageError extends Error {
  readonly code = 'USAGE'
}

type Tree = { [key: string]: unknown }
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value)

function setPath(tree: Tree, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path
  if (rest.length === 0) {
    tree[key] = value
    return
  }
  const child = tree[key]
  const next: Tree = isTree(child) ? child : {}
  tree[key] = next
  setPath(next, rest, value)
}

/** Paths of all settable keys, by the schema's own structure. */
function keysOf(schema: TSchema, path: string[] = []): string[][] {
  const properties: unknown = 'properties' in schema ? schema.properties : undefined
  if (!isTree(properties)) return [path]
  return Object.entries(properties).flatMap(([key, child]) => keysOf(child as TSchema, [...path, key]))
}

const environmentName = (path: readonly string[]) =>
  `JOBSIGHT_${path.map(key => key.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()).join('_')}`

async function readSettingsFile(file: string | undefined): Promise<Tree> {
  if (file === undefined) return {}
  const { parse: parseYaml } = await import('yaml')
  let parsed: unknown
  try {
    parsed = parseYaml(readFileSync(file, 'utf8')) ?? {}
  } catch (error) {
    throw new UsageError(
      `cannot read the configuration ${file}: ${String(error instanceof Error ? error.message : error)}`,
    )
  }
  if (!isTree(parsed)) throw new UsageError(`${file}: expected a mapping such as "listen: 127.0.0.1:7070"`)
  return parsed
}

export interface Said {
  /** Of keys that nothing below says. */
  otherwise: Readonly<Record<string, string>>
  /** YAML. */
  file: string | undefined
  environment: Readonly<Record<string, string | undefined>>
  /** `collector.stacks.hz=49`; the last one that names a key wins. */
  assignments: readonly string[]
}

/** Throws UsageError with what is wrong. */
export async function readSettings<T extends TSchema>(schema: T, said: Said): Promise<Static<T>> {
  const sections = keysOf(schema).filter(path => path.length > 1)
  const tree: Tree = { ...said.otherwise, ...Object.fromEntries(sections.map(([section = '']) => [section, {}])) }
  for (const [key, value] of Object.entries(await readSettingsFile(said.file))) tree[key] = value ?? {}
  for (const path of keysOf(schema)) {
    const value = said.environment[environmentName(path)]
    if (value !== undefined) setPath(tree, path, value)
  }
  for (const assignment of said.assignments) {
    const at = assignment.indexOf('=')
    if (at < 1)
      throw new UsageError(`--set ${assignment}: expected KEY=VALUE, for example --set collector.stacks.hz=49`)
    setPath(tree, assignment.slice(0, at).split('.'), assignment.slice(at + 1))
  }
  return parseSettings(schema, tree)
}

/** ` (tick, on the wall clock; default 10000)`: what the schema says of a key. */
function meaningOf(schema: TSchema, path: readonly string[]): string {
  let at: unknown = schema
  for (const key of path) at = isTree(at) && isTree(at.properties) ? at.properties[key] : undefined
  if (!isTree(at) || at.description === undefined) return ''
  return ` (${at.description}${at.default === undefined ? '' : `; default ${at.default}`})`
}

function parseSettings<T extends TSchema>(schema: T, tree: Tree): Static<T> {
  const config = Value.Default(schema, Value.Convert(schema, JSON.parse(JSON.stringify(tree))))
  const wrong = Value.Errors(schema, config).filter(e => e.keyword !== 'boolean')
  if (wrong.length === 0) return config as Static<T>
  const told = wrong.slice(0, 5).map(e => {
    const path = e.instancePath.split('/').slice(1)
    const unknown = e.keyword === 'additionalProperties' ? [e.params.additionalProperties].flat().join(', ') : ''
    if (unknown !== '') return `there is no key ${[...path, unknown].join('.')}`
    return `${path.join('.')} ${e.message}${meaningOf(schema, path)}`
  })
  throw new UsageError(`configuration: ${told.join('; ')}`)
}
