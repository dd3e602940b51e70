/**
 * Tokens of inserts whose rows never became a part. ClickHouse notes the token of a block, then gives its part its name; a process
 * that is killed between the two has the token and not the rows, and the journal's second insert of the block would be
 * taken for one that is stored. So before chDB opens the directory, a token whose part is not there is taken back, as
 * ClickHouse itself writes it when a part is dropped.
 *
 *   store/07f/07f5…/20261128_1_8_2/                                  a part: of a partition, blocks 1 to 8
 *   store/07f/07f5…/deduplication_logs/deduplication_log_1.txt       1 <tab> 20261128_3_3_0 <tab> token     added
 *                                                                    2 <tab> 20261128_3_3_0 <tab> token     dropped
 *
 * https://github.com/ClickHouse/ClickHouse/blob/master/src/Storages/MergeTree/MergeTreeDeduplicationLog.cpp
 */
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Part {
  partition: string
  from: number
  to: number
}

/** `path`: chDB's data directory, which nobody has open. The answer is how many were taken back. */
export function takeBackTokens(path: string): number {
  const store = join(path, 'store')
  if (!existsSync(store)) return 0
  return readdirSync(store)
    .flatMap(folder => readdirSync(join(store, folder)).map(table => join(store, folder, table)))
    .reduce((sum, table) => sum + takeBackOf(table), 0)
}

function takeBackOf(table: string): number {
  const folder = join(table, 'deduplication_logs')
  if (!existsSync(folder)) return 0
  const logs = readdirSync(folder).sort((a, b) => numberOf(a) - numberOf(b))
  const last = logs.at(-1)
  if (last === undefined) return 0
  const tokens = new Map(logs.flatMap(name => readLog(join(folder, name))))
  const parts = readdirSync(table).flatMap(name => parsePart(name) ?? [])
  const lost = [...tokens].filter(([, name]) => {
    const part = parsePart(name ?? '')
    return part !== undefined && !parts.some(one => covers(one, part))
  })
  if (lost.length > 0)
    appendFileSync(join(folder, last), lost.map(([token, part]) => `2\t${part}\t${token}\n`).join(''))
  return lost.length
}

/** Token -> part; undefined: dropped. */
const readLog = (file: string): [token: string, part: string | undefined][] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .flatMap(line => {
      const [operation, part, token] = line.split('\t')
      return token === undefined ? [] : [[token, operation === '1' ? part : undefined]]
    })

const numberOf = (name: string): number => Number(/\d+/.exec(name)?.[0] ?? 0)

/** 20261128_1_8_2; undefined for what is on its way (tmp_insert_…) or something else. */
function parsePart(name: string): Part | undefined {
  const [, partition, from, to] = /^([^_]+)_(\d+)_(\d+)_\d+(?:_\d+)?$/.exec(name) ?? []
  return partition === undefined ? undefined : { partition, from: Number(from), to: Number(to) }
}

/** Parts that were merged are in a larger one. */
const covers = (one: Part, other: Part): boolean =>
  one.partition === other.partition && one.from <= other.from && one.to >= other.to
