/**
 * The Source contract. A source reads one thing of the machine (one file in sources/) each tick:
 *
 *   openSource() probes once at start: a Source, or why it is absent here (said once, shown by `doctor` and on the page).
 *   read(tick)   returns readings for the interval that ends now. The first read of a counter only remembers it.
 *                It throws where a kernel file vanished or is not what it should be; the caller counts and logs that
 *                once, leaves these metrics out of the tick and goes on. A PartError carries what could be read. A value
 *                that is not there is left out, never 0.
 *
 * Parsers are pure, parseX(text) -> records, and live in the same file as their reader.
 */
import type { Logger } from 'pino'
import type { Entity } from '../ingest/metrics.ts'
import type { Process } from '../ingest/records.ts'
import type { KernelFiles } from './kernelfile.ts'
import { openBandwidth } from './sources/bandwidth.ts'
import { openCgroup } from './sources/cgroup.ts'
import { openControllers } from './sources/controllers.ts'
import { openCounters } from './sources/counters.ts'
import { openCpu } from './sources/cpu.ts'
import { openDisk } from './sources/disk.ts'
import { openFilesystem } from './sources/filesystem.ts'
import { openFrequency } from './sources/frequency.ts'
import { openGpfs } from './sources/gpfs.ts'
import { openGpu } from './sources/gpu.ts'
import { openNvidia } from './sources/gpunvml.ts'
import { openHostPower } from './sources/hostpower.ts'
import { openHugepages } from './sources/hugepages.ts'
import { openInfiniband } from './sources/infiniband.ts'
import { openJobBandwidth } from './sources/jobbandwidth.ts'
import { openLoad } from './sources/load.ts'
import { openLustre } from './sources/lustre.ts'
import { openMemory } from './sources/memory.ts'
import { openNetwork } from './sources/network.ts'
import { openNfs } from './sources/nfs.ts'
import { openNuma } from './sources/numa.ts'
import { openPaging } from './sources/paging.ts'
import { openPortableCpu, openPortableDevices, openPortableLoad } from './sources/portable.ts'
import { openPower } from './sources/power.ts'
import { openPressure } from './sources/pressure.ts'
import { openTcp } from './sources/tcp.ts'
import { openTemperature } from './sources/temperature.ts'

/** Where the kernel's files are; a container sees the host's under another root. */
export interface Roots {
  proc: string
  sys: string
}

export interface Tick {
  /** The grid time this tick belongs to: a multiple of the interval. */
  timeMs: number
  /** Nominal length of the interval. */
  intervalMs: number
  /** Monotonic clock at the start of the reading; sources take differences of this for their rates. */
  monotonicMs: number
}

/** A value of one catalogue column. A rate column is given as the rate itself (per second, or share of time), not as a counter. */
export interface Reading {
  entity: Entity
  column: string
  /** Core number, disk, interface …; '' for the node. */
  instance: string
  value: number
}

export interface Source {
  readonly name: string
  read(tick: Tick): Reading[]
  /** What it has and what it lacks while it works, for people: 'CPU packages 0 and 1; no ipmitool: install it for …'. */
  detail?(): string | undefined
  /** What a process does on the GPUs that it reads; undefined: nothing that is told. */
  gpuOf?(pid: number): GpuUse | undefined
  close?(): void
}

/** Summed over GPUs: share of their time (1: one GPU fully used), and bytes of their memory. */
export type GpuUse = Pick<Process, 'gpuUtilization' | 'gpuMemoryBytes'>

/** Why a source is absent: told to people, so with what to run to have it. */
export interface Absent {
  absent: string
}

export interface SourceOptions {
  roots: Roots
  /** Where sources get the kernel's files from: two that need the same one share its reading. */
  files: KernelFiles
  /** CPU modes of each core too. */
  perCore: boolean
  /** Groups of hardware counters, `ipc,cache,flops`; '' or absent: none. */
  counters?: string
  /** A monitoring group of resctrl for each job. */
  jobBandwidth?: boolean
  log: Logger
  /** For programs that a source asks (PATH); absent: the usual directories. */
  env?: Readonly<Record<string, string | undefined>>
}

export type OpenSource = (options: SourceOptions) => Source | Absent | Promise<Source | Absent>

/** All sources, in the order in which `doctor` lists them. To measure one more thing is one more file and one more line. */
export const SOURCES: readonly { name: string; open: OpenSource }[] = [
  { name: 'cpu', open: openCpu },
  { name: 'frequency', open: options => openFrequency(options) },
  { name: 'load', open: openLoad },
  { name: 'memory', open: openMemory },
  { name: 'paging', open: openPaging },
  { name: 'cgroup', open: openCgroup },
  { name: 'numa', open: openNuma },
  { name: 'hugepages', open: openHugepages },
  { name: 'pressure', open: openPressure },
  { name: 'disk', open: openDisk },
  { name: 'network', open: openNetwork },
  { name: 'tcp', open: openTcp },
  { name: 'infiniband', open: openInfiniband },
  { name: 'filesystem', open: options => openFilesystem(options) },
  { name: 'nfs', open: openNfs },
  { name: 'lustre', open: openLustre },
  { name: 'gpfs', open: openGpfs },
  { name: 'bandwidth', open: openBandwidth },
  { name: 'job bandwidth', open: options => openJobBandwidth(options) },
  { name: 'memory controllers', open: options => openControllers(options) },
  { name: 'counters', open: options => openCounters(options) },
  { name: 'power', open: openPower },
  { name: 'host power', open: options => openHostPower(options) },
  { name: 'temperature', open: openTemperature },
  { name: 'gpu', open: openGpu },
  { name: 'nvidia', open: openNvidia },
]

/** Where there is no /proc. */
export const PORTABLE_SOURCES: readonly { name: string; open: OpenSource }[] = [
  { name: 'cpu', open: openPortableCpu },
  { name: 'load', open: openPortableLoad },
  { name: 'devices', open: openPortableDevices },
]
