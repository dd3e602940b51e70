/** What perf said when it could not sample -> what a person can do, in one sentence with the command. */
import { readFileSync } from 'node:fs'

export interface PerfHost {
  /** kernel.perf_event_paranoid, where it can be read. */
  paranoid: number | undefined
  /** ID and ID_LIKE of /etc/os-release. */
  distribution: string
  kernel: string
}

const INSTALL: readonly [RegExp, (kernel: string) => string][] = [
  [/ubuntu/, kernel => `apt-get install linux-tools-${kernel}`],
  [/debian/, () => 'apt-get install linux-perf'],
  [/rhel|fedora|centos|rocky|alma/, () => 'dnf install perf'],
  [/suse|sles/, () => 'zypper install perf'],
  [/arch/, () => 'pacman -S perf'],
]

/** `said`: standard error of perf record. */
export function advicePerf(said: string, host: PerfHost): string {
  if (/perf.{0,3}: No such file|ENOENT|not found for kernel/i.test(said)) {
    const install = INSTALL.find(([pattern]) => pattern.test(host.distribution))?.[1](host.kernel)
    return install
      ? `perf is not installed: run \`${install}\``
      : "perf is not installed: install your distribution's package of perf(1)"
  }
  if (
    /Access to performance monitoring|perf_event_paranoid|No permission|Operation not permitted|EACCES|EPERM/i.test(
      said,
    )
  ) {
    const now = host.paranoid === undefined ? '' : ` (it is ${host.paranoid})`
    const sysctl = (host.paranoid ?? 1) > 0 ? `run \`sysctl -w kernel.perf_event_paranoid=0\`${now} or ` : ''
    return `the kernel does not let this user sample the whole machine: ${sysctl}start the collector as root or with CAP_PERFMON and CAP_SYS_PTRACE (in a container: --cap-add PERFMON --cap-add SYS_PTRACE --pid host)`
  }
  if (/No such device|ENODEV|not supported|Function not implemented|ENOSYS/i.test(said))
    return `this kernel has no perf events (CONFIG_PERF_EVENTS, or a seccomp profile forbids perf_event_open): ${firstLine(said)}`
  return `perf record ended: ${firstLine(said) || 'it said nothing; run `perf record -a -e cpu-clock -o /dev/null sleep 1` to see why'}`
}

const firstLine = (said: string) =>
  said
    .split('\n')
    .find(line => !/^\s*(Error:|Usage|$)/.test(line))
    ?.trim() ?? ''

export function readPerfHost(kernel: string): PerfHost {
  const paranoid = Number.parseInt(readText('/proc/sys/kernel/perf_event_paranoid'), 10)
  const release = readText('/etc/os-release')
  const distribution = [...release.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].map(match => match[1]).join(' ')
  return { paranoid: Number.isNaN(paranoid) ? undefined : paranoid, distribution, kernel }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
