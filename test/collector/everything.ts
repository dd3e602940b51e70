/**
 * A node that has every device whose files can be made: captures of a real machine, and trees as the kernel documents them
 * (each described in the test of its own source). `t` is 0 or 1: the counters of a second later.
 */
import { readdirSync, readFileSync } from 'node:fs'

const FIXTURES = new URL('../fixtures/', import.meta.url)

function captures(folder: string, under: string): Record<string, string> {
  const top = new URL(`${folder}/`, FIXTURES)
  const files = readdirSync(top, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return Object.fromEntries(
    files.map(entry => {
      const path = `${entry.parentPath}/${entry.name}`
      return [`${under}${path.split(`${folder}/`)[1]}`, readFileSync(path, 'utf8')]
    }),
  )
}

const lines = (top: string, files: Readonly<Record<string, string | number>>) =>
  Object.fromEntries(Object.entries(files).map(([path, text]) => [`${top}/${path}`, `${text}\n`]))

const cpu = (number: number) =>
  lines(`sys/devices/system/cpu/cpu${number}`, {
    'topology/physical_package_id': number,
    'cpufreq/scaling_cur_freq': 2_600_000,
    'cpufreq/cpuinfo_max_freq': 3_400_000,
    'cache/index3/id': number,
    'cache/index3/size': '32768K',
    'thermal_throttle/package_throttle_total_time_ms': 1000 * number,
  })

const numa = (number: number, t: number) => ({
  [`sys/devices/system/node/node${number}/meminfo`]: [
    ['MemTotal', 16_000_000],
    ['MemFree', 4_000_000],
    ['FilePages', 5_000_000],
    ['SReclaimable', 300_000],
  ]
    .map(([name, kilobytes]) => `Node ${number} ${name}:       ${kilobytes} kB\n`)
    .join(''),
  [`sys/devices/system/node/node${number}/numastat`]: [
    ['numa_hit', 900],
    ['numa_miss', 40],
    ['numa_foreign', 3],
    ['interleave_hit', 1],
    ['local_node', 890],
    ['other_node', 70],
  ]
    .map(([name, count]) => `${name} ${Number(count) * (t + 1)}\n`)
    .join(''),
})

const zone = (name: string, label: string, microjoules: number) =>
  lines(`sys/class/powercap/${name}`, {
    name: label,
    energy_uj: microjoules,
    max_energy_range_uj: 262_143_328_850,
    constraint_0_power_limit_uw: 225_000_000,
  })

const port = (t: number) =>
  lines('sys/class/infiniband/mlx5_0/ports/1', {
    state: '4: ACTIVE',
    rate: '200 Gb/sec (4X HDR)',
    'counters/port_rcv_data': 1000 + t * 250,
    'counters/port_xmit_data': 2000 + t * 500,
    'counters/port_rcv_packets': 10 + t * 10,
    'counters/port_xmit_packets': 20 + t * 20,
  })

const resctrl = (t: number) =>
  Object.assign(
    {},
    ...['00', '01'].map(cache =>
      lines(`sys/fs/resctrl/mon_data/mon_L3_${cache}`, {
        mbm_total_bytes: 1000 + 5000 * t,
        mbm_local_bytes: 900 + 4000 * t,
        llc_occupancy: 65_536,
      }),
    ),
  )

const pressure = (microseconds: number) =>
  `some avg10=0.00 avg60=0.00 avg300=0.00 total=${microseconds}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0`

const job = (t: number) => ({
  'sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n',
  ...lines('sys/fs/cgroup/system.slice/slurmstepd.scope/job_4711', {
    'cgroup.controllers': 'cpuset cpu io memory pids',
    'cpu.stat': `usage_usec ${3_500_000 * t}\nuser_usec ${3_000_000 * t}\nsystem_usec ${500_000 * t}\nnr_periods 0`,
    'memory.current': 10 << 20,
    'memory.stat': `anon ${6 << 20}\nfile ${4 << 20}\ninactive_file ${3 << 20}`,
    'memory.max': 64 << 20,
    'memory.events': 'low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0',
    'io.stat': `254:0 rbytes=${1000 * t} wbytes=${2000 * t} rios=1 wios=1 dbytes=0 dios=0`,
    'cpu.pressure': pressure(250_000 * t),
    'memory.pressure': pressure(1000 * t),
    'io.pressure': pressure(200_000 * t),
    'pids.current': 17,
    'cpuset.cpus.effective': '0-1',
  }),
})

const card = (t: number) =>
  lines('sys/class/drm/card1/device', {
    uevent: 'DRIVER=amdgpu\nPCI_CLASS=38000\nPCI_ID=1002:740F\nPCI_SLOT_NAME=0000:83:00.0',
    gpu_busy_percent: 50,
    mem_busy_percent: 20,
    mem_info_vram_used: 2 ** 30,
    mem_info_vram_total: 64 * 2 ** 30,
    'power/runtime_status': 'active',
    'ras/umc_err_count': `ue: ${t}\nce: ${10 * t}`,
    'hwmon/hwmon4/name': 'amdgpu',
    'hwmon/hwmon4/power1_average': 212_000_000,
    'hwmon/hwmon4/power1_cap': 300_000_000,
    'hwmon/hwmon4/temp2_label': 'junction',
    'hwmon/hwmon4/temp2_input': 55_000,
    'hwmon/hwmon4/freq1_input': 1_700_000_000,
  })

const lustre = (t: number) =>
  lines('sys/kernel/debug/lustre/llite/scratch-ffff000189257000', {
    stats: `snapshot_time             1790277040.611962111 secs.nsecs
read_bytes                ${10 + t} samples [bytes] 1 4194304 ${5000 + 1000 * t} 47236230193563213
write_bytes               ${20 + t} samples [bytes] 1 16777216 ${7000 + 2000 * t} 265164318462171099
open                      ${30 + 3 * t} samples [usecs] 0 36643 ${300_000 * (t + 1)} 695595244118`,
  })

const mountstats = (t: number) => `device nas1:/export/home mounted on /home with fstype nfs4 statvers=1.1
	age:	7968
	bytes:	${1000 + 500 * t} ${2000 + 700 * t} 0 0 ${500 + 100 * t} ${700 + 100 * t} 1 2
	RPC iostats version: 1.1  p/v: 100003/4 (nfs)
	per-op statistics
	        READ: ${10 + t} ${10 + t} 0 1234 5678 7 99 ${100 + 50 * t} 0
	     GETATTR: ${10 + t} ${10 + t} 0 1234 5678 7 99 ${100 + 50 * t} 0
`

export function everything(t: 0 | 1): Record<string, string> {
  const when = t === 0 ? 'before' : 'after'
  return {
    ...captures(`proc/vm-2-cores/${when}`, 'proc/'),
    ...captures(`sys/vm-2-cores/${when}`, ''),
    'proc/cpuinfo': 'vendor_id\t: GenuineIntel\nflags\t\t: cqm_llc cqm_mbm_total cqm_mbm_local\n\n',
    'proc/1/mountinfo': `20 1 8:1 / / rw - ext4 /dev/vda rw
50 1 0:50 / /scratch rw - lustre 10.1.0.1@o2ib:/scratch rw,flock
51 1 0:51 / /home rw - nfs4 nas1:/export/home rw
`,
    'proc/1/mountstats': mountstats(t),
    'sys/devices/system/node/online': '0-1\n',
    ...numa(0, t),
    ...numa(1, t),
    ...cpu(0),
    ...cpu(1),
    ...zone('intel-rapl:0', 'package-0', 1e9 + 150e6 * t),
    ...zone('intel-rapl:0:0', 'dram', 1e8 + 20e6 * t),
    ...zone('intel-rapl:1', 'package-1', 2e9 + 90e6 * t),
    ...lines('sys/cray/pm_counters', { energy: `${26_459 + 300 * t} J ${1_662_992_301_394_713 + 1e6 * t} us` }),
    ...lines('sys/class/hwmon/hwmon0', { name: 'coretemp', temp1_label: 'Package id 0', temp1_input: 48_000 }),
    ...lines('sys/class/hwmon/hwmon1', { name: 'coretemp', temp1_label: 'Package id 1', temp1_input: 51_000 }),
    ...port(t),
    ...resctrl(t),
    ...job(t),
    ...card(t),
    ...lustre(t),
  }
}
