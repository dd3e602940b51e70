/**
 * The job filter as tokens: `user:ann state:failed,timeout nodes:>8 since:7d name-part`. What the API can filter by is asked
 * there; the rest (sizes, lengths) is tested on each row.
 */
import type { JobRow } from '../query/api.ts'

export interface Token {
  readonly key: string
  readonly value: string
}

export const FILTER_KEYS = [
  'user',
  'state',
  'account',
  'queue',
  'name',
  'node',
  'nodes',
  'cores',
  'gpus',
  'cpu',
  'elapsed',
  'array',
  'since',
] as const
const ASKED = ['user', 'state', 'account', 'queue', 'name', 'node', 'array']

/** A value with blanks is quoted: name:"wing les". A word without a key is part of a name. */
export function parseFilter(text: string): Token[] {
  const tokens: Token[] = []
  for (const [, key, quoted, plain] of text.matchAll(/(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))/g)) {
    const value = quoted ?? plain ?? ''
    if (key !== undefined && FILTER_KEYS.some(k => k === key)) tokens.push({ key, value })
    else if (value !== '') tokens.push({ key: 'name', value: key === undefined ? value : `${key}:${value}` })
  }
  return tokens
}

export const formatFilter = (tokens: readonly Token[]): string =>
  tokens.map(({ key, value }) => `${key}:${/\s/.test(value) ? `"${value}"` : value}`).join(' ')

/** A token more; one of the same key is replaced, so that a click on another user does not ask for both. */
export const withToken = (text: string, token: Token): string =>
  formatFilter([...parseFilter(text).filter(x => x.key !== token.key), token])

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

function sinceMs(value: string, nowMs: number): number | undefined {
  const [, count, unit] = /^(\d+)([mhdw])$/.exec(value) ?? []
  return count === undefined ? undefined : nowMs - Number(count) * (UNITS[unit ?? ''] ?? 0)
}

/** What the server is asked; since is floored to the minute so that the question does not change at every tick. */
export function askedOf(tokens: readonly Token[], nowMs: number): Record<string, string | number> {
  const asked: Record<string, string | number> = {}
  for (const { key, value } of tokens) {
    if (ASKED.includes(key)) asked[key] = key in asked && key !== 'name' ? `${asked[key]},${value}` : value
    const [, how, least] = key === 'nodes' ? (/^(>=?)(\d+)$/.exec(value) ?? []) : []
    if (least !== undefined) asked.minNodes = Number(least) + (how === '>' ? 1 : 0)
    const [, length] = key === 'elapsed' ? (/^>=?(\d+[mhdw])$/.exec(value) ?? []) : []
    if (length !== undefined) asked.minSeconds = (nowMs - (sinceMs(length, nowMs) ?? nowMs)) / 1000
    const since = key === 'since' ? sinceMs(value, nowMs) : undefined
    if (since !== undefined) asked.from = Math.floor(since / 60_000) * 60_000
  }
  return asked
}

const SIZES: Readonly<Record<string, (row: JobRow) => number | null>> = {
  nodes: row => row.nodeCount,
  cores: row => row.cores,
  gpus: row => row.gpus,
  cpu: row => (row.cpuEfficiency === null ? null : row.cpuEfficiency * 100),
}

/** nodes:>8, cores:<=64, gpus:4, cpu:<30 (per cent of the allocated cores that was used). */
export function testRow(tokens: readonly Token[], row: JobRow): boolean {
  return tokens.every(({ key, value }) => {
    const size = SIZES[key]
    if (size === undefined) return true
    const [, how = '', number] = /^(>=|<=|>|<|=)?(\d+(?:\.\d+)?)%?$/.exec(value) ?? []
    const has = size(row)
    if (number === undefined || has === null) return number === undefined
    const than = Number(number)
    if (how === '>') return has > than
    if (how === '<') return has < than
    if (how === '>=') return has >= than
    return how === '<=' ? has <= than : has === than
  })
}
