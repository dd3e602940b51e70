/** What runs on every node beside the jobs, and their small call trees. */
import { MIB, type NewProcess, type SimulatedProcess, spend } from './model.ts'
import type { Random } from './random.ts'
import { type Mix, mixOf, parseTree } from './trees.ts'

export const STEPD = parseTree(
  'slurmstepd',
  `
__clone3 @libc.so.6
  start_thread
    _monitor_poll @slurmstepd = work 40
      jobacct_gather_p_poll_data @jobacct_gather_linux.so = work 60
`,
)
export const STEPD_MIX = mixOf(STEPD, { work: 1 })

interface Daemon {
  process: NewProcess
  user: string
  cores: number
  memoryBytes: number
  mix: Mix
}

const slurmd = parseTree(
  'slurmd',
  `
__clone3 @libc.so.6
  start_thread
    _service_connection @slurmd
      rpc_ping = work 20
        slurm_get_node_energy @libslurmfull.so = work 20
    __poll @libc.so.6
      entry_SYSCALL_64_after_hwframe @kernel
        do_syscall_64
          __x64_sys_poll = work 60
`,
)
const journald = parseTree(
  'systemd-journald',
  `
_start @systemd-journald
  server_process_datagram = work 40
    journal_file_append_entry @libsystemd-shared-252.so = work 60
`,
)
const collector = parseTree(
  'jobsight',
  `
_start @node
  node::SpinEventLoopInternal(node::Environment*)
    uv_run = work 8
      read @native_sources.node = work 12
        __read @libc.so.6
          entry_SYSCALL_64_after_hwframe @kernel
            do_syscall_64
              ksys_read
                seq_read_iter
                  show_stat = work 38
                  proc_tgid_stat = work 42
`,
)
const sssd = parseTree(
  'sssd_be',
  `
_start @sssd_be
  tevent_common_loop_wait @libtevent.so.0 = work 50
    ldap_result @libldap-2.5.so.0 = work 50
`,
)

const DAEMONS: readonly Daemon[] = [
  {
    process: { name: 'jobsight', command: 'node /opt/jobsight/dist/main.js collect', tree: collector, threads: 11 },
    user: 'jobsight',
    cores: 0.006,
    memoryBytes: 74 * MIB,
    mix: mixOf(collector, { work: 1 }),
  },
  {
    process: { name: 'slurmd', command: '/usr/sbin/slurmd -D -s', tree: slurmd, threads: 4 },
    user: 'root',
    cores: 0.003,
    memoryBytes: 21 * MIB,
    mix: mixOf(slurmd, { work: 1 }),
  },
  {
    process: { name: 'systemd-journal', command: '/lib/systemd/systemd-journald', tree: journald, threads: 1 },
    user: 'root',
    cores: 0.002,
    memoryBytes: 38 * MIB,
    mix: mixOf(journald, { work: 1 }),
  },
  {
    process: { name: 'sssd_be', command: '/usr/libexec/sssd/sssd_be --domain cluster', tree: sssd, threads: 1 },
    user: 'root',
    cores: 0.001,
    memoryBytes: 46 * MIB,
    mix: mixOf(sssd, { work: 1 }),
  },
]

export interface Daemons {
  processes: SimulatedProcess[]
  tick(stepMs: number, random: Random): void
}

/** Starts them at boot. `spawn` names the process; user and parent are theirs. */
export function startDaemons(spawn: (process: NewProcess, user: string) => SimulatedProcess): Daemons {
  const processes = DAEMONS.map(d => spawn(d.process, d.user))
  return {
    processes,
    tick(stepMs, random) {
      DAEMONS.forEach((d, i) => {
        const process = processes[i]
        if (!process) return
        spend(process, d.cores * (0.6 + 0.8 * random.uniform()), d.mix, stepMs)
        process.memoryBytes = d.memoryBytes
        process.writeBytesPerSecond = d.process.name === 'systemd-journal' ? 900 * random.uniform() : 0
      })
    },
  }
}
