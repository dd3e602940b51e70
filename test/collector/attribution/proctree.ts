/** A /proc made of what a test says of each process, in a directory of its own. */
import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Boot } from '../../../collector/starttime.ts'

export interface Told {
  comm?: string
  parent?: number
  session?: number
  /** Seconds since boot. */
  start?: number
  uid?: number
  groups?: number[]
  cgroup?: string
  environ?: Record<string, string>
  cmdline?: string
  cwd?: string
}

export class ProcTree {
  readonly directory = mkdtempSync(join(tmpdir(), 'proctree-'))
  readonly proc = join(this.directory, 'proc')
  readonly boot: Boot = {
    bootMs: Math.floor(Date.now() / 1000) * 1000 - 1_000_000,
    ticksPerSecond: 100,
    pageBytes: 4096,
  }

  constructor(processes: Record<number, Told> = {}) {
    this.write('proc/1/root/.keep', '')
    this.sockets([])
    for (const [pid, told] of Object.entries(processes)) this.process(Number(pid), told)
  }

  startMs(seconds: number): number {
    return this.boot.bootMs + seconds * 1000
  }

  process(pid: number, told: Told): void {
    const { comm = 'prog', parent = 1, session = pid, start = 900, uid = 1001, groups = [uid] } = told
    const zeros = '0 '.repeat(15)
    this.write(`proc/${pid}/stat`, `${pid} (${comm}) S ${parent} ${pid} ${session} ${zeros}${start * 100} 0 0`)
    this.write(
      `proc/${pid}/status`,
      `Name:\t${comm}\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nGroups:\t${groups.join(' ')} \n`,
    )
    this.write(`proc/${pid}/cgroup`, told.cgroup ?? '0::/user.slice\n')
    const pairs = Object.entries(told.environ ?? {}).map(([name, value]) => `${name}=${value}\0`)
    this.write(`proc/${pid}/environ`, pairs.join(''))
    this.write(`proc/${pid}/cmdline`, told.cmdline ?? comm)
    if (told.cwd !== undefined) symlinkSync(told.cwd, join(this.proc, String(pid), 'cwd'))
  }

  /** Slurm's steps of this machine: `node1_18.0`; each socket is as old as this call. */
  sockets(names: readonly string[]): void {
    const lines = names.map(name => `0000000000465319: 00000002 00000000 00010000 0001 01 117765 /spool/${name}`)
    this.write('proc/1/net/unix', ['Num       RefCount Protocol Flags    Type St Inode Path', ...lines, ''].join('\n'))
    for (const name of names) this.file(`/spool/${name}`, '')
  }

  /** A file of the machine. */
  file(path: string, text: string): void {
    this.write(`proc/1/root${path}`, text)
  }

  /** A command; returns the directory for PATH. */
  command(name: string, script: string): string {
    this.write(`bin/${name}`, `#!/bin/sh\n${script}\n`)
    chmodSync(join(this.directory, 'bin', name), 0o755)
    return join(this.directory, 'bin')
  }

  private write(path: string, text: string): void {
    const to = join(this.directory, path)
    mkdirSync(dirname(to), { recursive: true })
    writeFileSync(to, text)
  }
}
