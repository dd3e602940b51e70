/** Power and heat: of the whole node as its board measures it, and of each CPU socket. */
import { gauge, type Metric, rate, summed } from '../metric.ts'

const RAPL = 'RAPL: /sys/class/powercap/intel-rapl:*/energy_uj'
const HWMON = '/sys/class/hwmon'
const cpu = { 'hw.type': 'cpu' }
const memory = { 'hw.type': 'memory' }

export const POWER_METRICS: readonly Metric[] = [
  rate('socket', 'hw.energy', cpu, {
    column: 'power_watts',
    unit: 'W',
    scale: 10,
    arrives: [
      { name: 'hw.energy', attributes: cpu },
      { name: 'hw.power', attributes: cpu },
    ],
    full: 'power_limit_watts',
    onNode: { column: 'power_cpu_watts', how: 'sum' },
    meaning: 'power of the CPU package; its memory is not in it',
    source: `${RAPL}; ${HWMON} amd_energy, Grace Power Socket`,
  }),
  gauge('socket', 'hw.power.limit', cpu, {
    column: 'power_limit_watts',
    unit: 'W',
    scale: 10,
    overTime: 'last',
    meaning: 'what the CPU package may draw for long',
    source: 'RAPL: constraint_0_power_limit_uw',
  }),
  rate('socket', 'hw.energy', memory, {
    column: 'memory_power_watts',
    unit: 'W',
    scale: 10,
    arrives: [
      { name: 'hw.energy', attributes: memory },
      { name: 'hw.power', attributes: memory },
    ],
    onNode: { column: 'power_memory_watts', how: 'sum' },
    meaning: 'power of the memory at the CPU package',
    source: RAPL,
  }),
  gauge('socket', 'hw.temperature', cpu, {
    column: 'temperature',
    unit: 'Cel',
    scale: 10,
    full: 'temperature_limit',
    onNode: { column: 'cpu_temperature', how: 'max' },
    meaning: 'temperature of the CPU package',
    source: `${HWMON} coretemp, k10temp`,
  }),
  gauge('socket', 'hw.temperature.limit', cpu, {
    column: 'temperature_limit',
    unit: 'Cel',
    scale: 10,
    overTime: 'last',
    meaning: 'temperature at which the CPU package slows down',
    source: `${HWMON} temp*_crit`,
  }),
  rate('socket', 'jobsight.cpu.throttled', undefined, {
    column: 'throttled',
    unit: 'ratio',
    full: 1,
    onNode: { column: 'cpu_throttled', how: 'max' },
    meaning: 'share of time in which the CPU package was slowed down for its heat',
    source: '/sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_total_time_ms',
  }),

  rate('node', 'hw.host.energy', undefined, {
    column: 'power_watts',
    unit: 'W',
    scale: 10,
    arrives: [{ name: 'hw.host.energy' }, { name: 'hw.host.power' }],
    meaning: 'power of the whole node as its board measures it',
    source: 'the first there is of: /sys/cray/pm_counters, ACPI power meter, ipmitool dcmi, RAPL psys',
  }),
  summed('power_parts_watts', 'W', 10, 'CPUs, memory and GPUs as far as they can be read: the node draws more', RAPL),
  summed('power_cpu_watts', 'W', 10, 'power of all CPU packages', RAPL),
  summed('power_memory_watts', 'W', 10, 'power of the memory at all CPU packages', RAPL),
  summed('cpu_temperature', 'Cel', 10, 'the hottest CPU package', HWMON),
  gauge('node', 'jobsight.temperature.max', undefined, {
    column: 'temperature_max',
    unit: 'Cel',
    scale: 10,
    meaning: 'the hottest sensor of disks, memory, network cards and board; CPUs and GPUs are apart',
    source: HWMON,
  }),
  summed(
    'cpu_throttled',
    'ratio',
    10_000,
    'share of time a CPU package was slowed down for its heat, worst one',
    HWMON,
    {
      full: 1,
    },
  ),
]
