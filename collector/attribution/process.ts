/** One process as /proc tells it, each file read at most once and only where it is asked for. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { type Boot, startMsOf } from '../starttime.ts'
import { type JobVariables, parseEnvironment } from './environment.ts'

export interface Stat {
  comm: string
  parentPid: number
  /** Session id: the pid of the process that opened the session. */
  session: number
  startMs: number
}

/** `4214 (a) b) S 1 4214 4214 …`: the name may hold anything, so what follows its last parenthesis is counted. */
export function parseStat(text: string, boot: Boot): Stat | undefined {
  const open = text.indexOf('(')
  const close = text.lastIndexOf(')')
  const fields = text.slice(close + 2).split(' ')
  const [parentPid, session, startTicks] = [fields[1], fields[3], fields[19]].map(Number)
  if (open < 0 || close < open || startTicks === undefined || !Number.isFinite(startTicks)) return undefined
  const comm = text.slice(open + 1, close)
  return { comm, parentPid: parentPid ?? 0, session: session ?? 0, startMs: startMsOf(boot, startTicks) }
}

export interface Identity {
  /** Real user id. */
  uid: number
  /** Supplementary groups. */
  groups: number[]
}

export function parseStatus(text: string): Identity | undefined {
  const uid = /^Uid:\s*(\d+)/m.exec(text)?.[1]
  const groups = /^Groups:[ \t]*([\d ]*)/m.exec(text)?.[1] ?? ''
  return uid === undefined ? undefined : { uid: Number(uid), groups: groups.split(' ').filter(Boolean).map(Number) }
}

/** Larger environments are cut: the kernel allows 6 MiB for argv and environment together by default. */
const MAX_ENVIRON = 4 << 20

export class ProcessFiles {
  readonly pid: number
  readonly #directory: string
  readonly #boot: Boot
  #stat: Stat | null | undefined
  #identity: Identity | null | undefined
  #variables: JobVariables | undefined

  constructor(proc: string, boot: Boot, pid: number) {
    this.pid = pid
    this.#boot = boot
    this.#directory = `${proc}/${pid}`
  }

  stat(): Stat | undefined {
    if (this.#stat === undefined) this.#stat = parseStat(this.#text('stat'), this.#boot) ?? null
    return this.#stat ?? undefined
  }

  identity(): Identity | undefined {
    if (this.#identity === undefined) this.#identity = parseStatus(this.#text('status')) ?? null
    return this.#identity ?? undefined
  }

  cgroup(): string {
    return this.#text('cgroup')
  }

  commandLine(): string {
    return this.#text('cmdline').replaceAll('\0', ' ').trim()
  }

  workingDirectory(): string {
    try {
      return readlinkSync(`${this.#directory}/cwd`)
    } catch {
      return ''
    }
  }

  /** Empty where only its owner may read it. */
  variables(): JobVariables {
    this.#variables ??= this.#readVariables()
    return this.#variables
  }

  #readVariables(): JobVariables {
    let fd = -1
    try {
      fd = openSync(`${this.#directory}/environ`, 'r')
      return parseEnvironment(readAll(fd))
    } catch {
      return {}
    } finally {
      if (fd >= 0) closeSync(fd)
    }
  }

  /** '' where the process is gone, or another user's. */
  #text(file: string): string {
    try {
      return readFileSync(`${this.#directory}/${file}`, 'utf8')
    } catch {
      return ''
    }
  }
}

/** Reused for every environment, so that what is in them does not stay around in memory. */
let environ = Buffer.alloc(64 << 10)

function readAll(fd: number): Uint8Array {
  environ.fill(0)
  let length = 0
  for (;;) {
    const got = readSync(fd, environ, length, environ.length - length, null)
    length += got
    if (got === 0 || length >= MAX_ENVIRON) return environ.subarray(0, length)
    if (length === environ.length) environ = Buffer.concat([environ, Buffer.alloc(length)])
  }
}

/** Where the machine's files are, though we may live in a container: the root of process 1, or ours where we may not look. */
export function machineRoot(proc: string): string {
  try {
    readdirSync(`${proc}/1/root/`)
    return `${proc}/1/root`
  } catch {
    return ''
  }
}
