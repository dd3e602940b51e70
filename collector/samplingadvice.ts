/** What stack sampling can do with this kernel and these rights, and what would mend it: lines for `jobsight doctor`. */
import { readFileSync } from 'node:fs'
import type { StacksStatus } from './stacks.ts'

/** Of the kernel and of this process; undefined where it cannot be read. */
export interface SamplingHost {
  /** kernel.perf_event_paranoid */
  paranoid: number | undefined
  /** kernel.kptr_restrict */
  kptrRestrict: number | undefined
  /** CapEff of /proc/self/status. */
  capabilities: bigint
}

/** Bits of a capability set, uapi/linux/capability.h. */
const CAPABILITIES = { ipcLock: 14, sysPtrace: 19, sysAdmin: 21, sysNice: 23, syslog: 34, perfmon: 38 } as const

/** One line a finding, the sampler that runs first. `refused`: why each one before it could not. */
export function adviseSampling(status: StacksStatus, refused: readonly string[], host: SamplingHost): string[] {
  if ('absent' in status) return []
  const { kind, hz, clock } = status.sampler
  const timer = clock === 'cycles' ? 'the cycle counter' : 'the timer, since this machine shows no cycle counter'
  const lines = [`by ${kind === 'addon' ? 'the addon' : kind} at ${hz} Hz, by ${timer}`]
  for (const why of refused) lines.push(`not by another: ${why}`)
  return [...lines, ...rights(host)]
}

function rights({ paranoid, kptrRestrict, capabilities }: SamplingHost): string[] {
  const may = (name: keyof typeof CAPABILITIES) => (capabilities & (1n << BigInt(CAPABILITIES[name]))) !== 0n
  const isAdmin = may('sysAdmin')
  const lines: string[] = []
  if (!isAdmin && !may('perfmon'))
    lines.push(
      `the whole node only while kernel.perf_event_paranoid (${paranoid ?? 'unknown'}) is 0 or less: give CAP_PERFMON to stay independent of it`,
    )
  if ((kptrRestrict ?? 0) >= 2 || (kptrRestrict === 1 && !may('syslog')))
    lines.push(
      kptrRestrict === 1
        ? 'no names of kernel functions: give CAP_SYSLOG, or run `sysctl kernel.kptr_restrict=0`'
        : 'no names of kernel functions: run `sysctl kernel.kptr_restrict=1` (and give CAP_SYSLOG)',
    )
  if (!may('sysPtrace'))
    lines.push("no files, deep stacks and Python functions of other users' programs: give CAP_SYS_PTRACE")
  if (!may('sysNice'))
    lines.push('the sampler waits its turn on a full node, Python functions may be missing there: give CAP_SYS_NICE')
  if (!may('ipcLock') && (paranoid ?? 2) >= 0)
    lines.push('small rings, so that bursts lose samples: give CAP_IPC_LOCK, or raise kernel.perf_event_mlock_kb')
  return lines
}

export function readSamplingHost(proc: string): SamplingHost {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText(`${proc}/self/status`))?.[1] ?? '0'
  return {
    paranoid: readNumber(`${proc}/sys/kernel/perf_event_paranoid`),
    kptrRestrict: readNumber(`${proc}/sys/kernel/kptr_restrict`),
    capabilities: BigInt(`0x${effective}`),
  }
}

function readNumber(path: string): number | undefined {
  const number = Number.parseInt(readText(path), 10)
  return Number.isNaN(number) ? undefined : number
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
