/**
 * What processes used that are gone: those that came and went between two sweeps, and the last piece of those that were known.
 *
 *   How much: the kernel adds all that a process has used in its life to its parent when that has waited for it (cutime, cstime).
 *
 *     parent   cutime ....|====d's life====|===x===|==y==|      grown by d + x + y, exactly, whatever x and y were
 *     d        known, ####|##                                   its life up to the sweep before is charged already: taken off
 *     x, y                   ##  ##                             never seen
 *
 *   Who: the exit records (exits.ts), which the rest is divided by. Without them it is '(ended)' of that parent.
 *
 * Where the parent is gone too, its parent has it all, and so on up to one that lives: the heir. Where nobody waits (the heir
 * ignores SIGCHLD) cutime tells nothing, and what the records say is taken as it is.
 */
import type { Exits } from './exits.ts'
import { type Exit, Lineage } from './lineage.ts'
import type { Known, ProcessTable } from './processtable.ts'

/** Ended children of one heir under one name and user; charged like a process. */
export interface EndedGroup {
  /** Undefined: nobody known. */
  heir: Known | undefined
  name: string
  /** Undefined without a record. */
  uid: number | undefined
  /** 0 without a record. */
  count: number
  userGrown: number
  systemGrown: number
  /** It has none any more. */
  memoryBytes: 0
  readBytes: number | undefined
  writeBytes: number | undefined
}

export interface Settled {
  groups: EndedGroup[]
  /** Those that were known; their growth is that since the tick before. */
  last: { process: Known; heir: Known | undefined }[]
  /** Clock ticks in all. */
  grown: number
}

/** Somebody who has a part of what an heir was told; `weight` in seconds. */
interface Part {
  weight: number
  charged: { userGrown: number; systemGrown: number }
}

interface Account {
  dead: { process: Known; weight: number }[]
  groups: Map<string, WeighedGroup>
}

/** Two measures of what the records say, in seconds: each is too little at times, in a way of its own. */
interface WeighedGroup extends EndedGroup {
  cpuSeconds: number
  tickedSeconds: number
}
type Accounts = Map<Known | undefined, Account>

export const UNNAMED = '(ended)'
/** What cutime can be behind by: it is told in whole ticks, user and system apart. */
const MOST_OWED_TICKS = 2

export class Endings {
  private readonly table: ProcessTable
  private readonly exits: Exits | undefined
  private readonly ticksPerSecond: number
  /** Ticks charged by the records alone, ahead of what the heir was told. */
  private readonly owed = new WeakMap<Known, number>()
  /** Whose children ended last, by name. */
  private readonly names = new WeakMap<Known, Pick<EndedGroup, 'name' | 'uid'>>()

  constructor(options: { table: ProcessTable; exits: Exits | undefined; ticksPerSecond: number }) {
    this.table = options.table
    this.exits = options.exits
    this.ticksPerSecond = options.ticksPerSecond
  }

  /** What has ended up to now is charged to nobody. */
  begin(): void {
    this.exits?.drain()
    this.table.takeEnded()
    for (const process of this.table.all()) settle(process)
  }

  /** To be called when all are looked at: one that is gone by then has been waited for, so its heir is told. */
  read(): Settled {
    const batch = this.exits?.drain()
    const lineage = new Lineage(this.table, this.table.takeEnded(), batch)
    const accounts: Accounts = new Map()
    for (const process of lineage.dead.values()) this.addKnown(accounts, lineage, process)
    lineage.eachUnknown(exit => addUnknown(accounts, lineage, exit))
    for (const process of this.table.stirred()) if (hasUnsettled(process)) accountOf(accounts, process)
    const heirs = [...accounts.keys()].filter(heir => heir !== undefined)
    const settled: Settled = { groups: [], last: [], grown: this.table.readAgain(heirs) }
    for (const [heir, account] of accounts) {
      if (heir && this.table.find(heir.pid) !== heir) {
        // it ended just now: the next tick finds who is heir then
        for (const { process } of account.dead) this.table.endAgain(process)
        continue
      }
      settled.grown += this.charge(heir, account)
      for (const { process } of account.dead) settled.last.push({ process, heir })
      settled.groups.push(...account.groups.values())
    }
    return settled
  }

  private addKnown(accounts: Accounts, lineage: Lineage, process: Known): void {
    const used = (process.userTicks + process.systemTicks) / this.ticksPerSecond
    const weight = Math.max(0, (lineage.secondsOf(process.pid) ?? 0) - used)
    accountOf(accounts, lineage.heirOf(process.parentPid)).dead.push({ process, weight })
  }

  /** Divides what the heir was told. Ticks in all. */
  private charge(heir: Known | undefined, account: Account): number {
    const parts = partsOf(account)
    const told = heir ? toldOf(heir, account) : { user: 0, system: 0 }
    const owed = (heir && this.owed.get(heir)) ?? 0
    const ticks = told.user + told.system - owed
    if (heir && ticks > 0) {
      settle(heir)
      this.owed.delete(heir)
      this.name(heir, account, parts)
      return divide(parts, (told.user / (told.user + told.system)) * ticks, ticks)
    }
    const byRecords = weightOf(parts) * this.ticksPerSecond
    if (heir) {
      settle(heir)
      this.owed.set(heir, Math.min(MOST_OWED_TICKS, byRecords - ticks))
    }
    return byRecords > 0 ? divide(parts, byRecords, byRecords) : 0
  }

  /** Somebody must have used it: who did last time, where no record says who. */
  private name(heir: Known, account: Account, parts: Part[]): void {
    const [largest] = [...account.groups.values()].sort((a, b) => weigh(b) - weigh(a))
    if (largest) this.names.set(heir, largest)
    if (this.exits ? parts.length > 0 : weightOf(parts) > 0) return
    const { name, uid } = this.names.get(heir) ?? { name: UNNAMED, uid: undefined }
    parts.push({ weight: 1, charged: groupOf(account, heir, name, uid) })
  }
}

const settle = (process: Known) => {
  process.settledUserTicks = process.childUserTicks
  process.settledSystemTicks = process.childSystemTicks
}

const hasUnsettled = (process: Known): boolean =>
  process.childUserTicks !== process.settledUserTicks || process.childSystemTicks !== process.settledSystemTicks

function accountOf(accounts: Accounts, heir: Known | undefined): Account {
  let account = accounts.get(heir)
  if (!account) {
    account = { groups: new Map(), dead: [] }
    accounts.set(heir, account)
  }
  return account
}

function groupOf(account: Account, heir: Known | undefined, name: string, uid: number | undefined) {
  const key = `${uid} ${name}`
  let group = account.groups.get(key)
  if (!group) {
    group = {
      ...{ heir, name, uid, count: 0, userGrown: 0, systemGrown: 0, memoryBytes: 0 },
      ...{ readBytes: undefined, writeBytes: undefined, cpuSeconds: 0, tickedSeconds: 0 },
    }
    account.groups.set(key, group)
  }
  return group
}

function addUnknown(accounts: Accounts, lineage: Lineage, exit: Exit): void {
  const heir = lineage.heirOf(exit.parentPid)
  const group = groupOf(accountOf(accounts, heir), heir, exit.name, exit.uid)
  group.count += exit.count
  group.cpuSeconds += exit.cpuSeconds
  group.tickedSeconds += exit.tickedSeconds
  group.readBytes = (group.readBytes ?? 0) + exit.readBytes
  group.writeBytes = (group.writeBytes ?? 0) + exit.writeBytes
}

/** What the heir was told beyond what was charged before; 0 where it was not told (it does not wait). */
function toldOf(heir: Known, account: Account): { user: number; system: number } {
  let user = heir.childUserTicks - heir.settledUserTicks
  let system = heir.childSystemTicks - heir.settledSystemTicks
  for (const { process } of account.dead) {
    user -= process.userTicks + process.settledUserTicks
    system -= process.systemTicks + process.settledSystemTicks
  }
  const all = Math.max(0, user + system)
  // the kernel divides between the two anew as it learns more
  return { user: Math.min(all, Math.max(0, user)), system: Math.min(all, Math.max(0, system)) }
}

const weigh = ({ cpuSeconds, tickedSeconds }: WeighedGroup): number => Math.max(cpuSeconds, tickedSeconds)
const weightOf = (parts: readonly Part[]): number => parts.reduce((sum, part) => sum + part.weight, 0)

function partsOf(account: Account): Part[] {
  const dead = account.dead.map(({ process, weight }) => {
    Object.assign(process, { userGrown: 0, systemGrown: 0 })
    return { weight, charged: process }
  })
  return [...dead, ...[...account.groups.values()].map(group => ({ weight: weigh(group), charged: group }))]
}

/** By weight, or evenly where nobody has any. */
function divide(parts: readonly Part[], userTicks: number, ticks: number): number {
  const weight = weightOf(parts)
  for (const part of parts) {
    const share = weight > 0 ? part.weight / weight : 1 / parts.length
    part.charged.userGrown += share * userTicks
    part.charged.systemGrown += share * (ticks - userTicks)
  }
  return ticks
}
