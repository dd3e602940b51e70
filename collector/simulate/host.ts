/**
 * One simulated node: 2 sockets, 64 cores, two NVMe disks (system and scratch), Ethernet and a fast fabric. Once a tick it
 * asks what runs on it and adds up what a kernel would count.
 *
 *   user + nice + system + irq + softirq + iowait + steal + idle = all cores      used + free + cached + buffers = total
 */
import type { Node } from '../../ingest/records.ts'
import { type Daemons, STEPD, STEPD_MIX, startDaemons } from './daemons.ts'
import { GPU_BYTES, gpuAddress } from './gpus.ts'
import {
  type Given,
  type Load,
  MIB,
  type NewProcess,
  type Share,
  type SimulatedJob,
  type SimulatedProcess,
  spend,
} from './model.ts'
import type { Modes } from './modes.ts'
import { Drift, openRandom, type Random } from './random.ts'
import { type Layout, NodeValues } from './values.ts'

export interface Hardware {
  cores: number
  memoryBytes: number
  /** The kernel was built without PSI: its columns are absent there, and the node says why. */
  pressure: boolean
  perCore: boolean
  /** It tells of its devices too: power, heat, file systems, the port of the fast network. */
  devices: boolean
  gpus: number
}

interface Running {
  job: SimulatedJob
  /** The step daemon that Slurm starts beside the job's own processes. */
  stepd: SimulatedProcess
  share: Share
  cores: number
  memoryBytes: number
  firstCore: number
}

const zeroLoad = (): Load => ({
  iowait: 0,
  nice: 0,
  cachedBytesPerSecond: 0,
  dirtyBytes: 0,
  scratchReadBytesPerSecond: 0,
  scratchWriteBytesPerSecond: 0,
  fabricInBytesPerSecond: 0,
  fabricOutBytesPerSecond: 0,
  ethernetInBytesPerSecond: 0,
  ethernetOutBytesPerSecond: 0,
  contextSwitchesPerSecond: 0,
  forksPerSecond: 0,
  runnable: 0,
  blocked: 0,
  pressureCpu: 0,
  pressureMemory: 0,
  pressureMemoryFull: 0,
  pressureIo: 0,
  pressureIoFull: 0,
  speed: 1,
  majorFaultsPerSecond: 0,
  oomKills: 0,
})

export class Host {
  readonly node: string
  readonly hardware: Hardware
  readonly bootMs: number
  readonly values: NodeValues
  /** Alive in the last tick, and those that ended since the stack window began. */
  processes: SimulatedProcess[] = []
  gone: SimulatedProcess[] = []
  private readonly running: Running[] = []
  private readonly daemons: Daemons
  private readonly random: Random
  private readonly drift: Drift
  private readonly seed: number
  private nextPid: number
  private alive = new Set<SimulatedProcess>()

  constructor(node: string, hardware: Hardware, layout: Layout, seed: number, beginMs: number) {
    this.node = node
    this.hardware = hardware
    this.seed = seed
    this.random = openRandom(seed, 'host', node)
    this.drift = new Drift(24, this.random)
    this.bootMs = Math.floor(beginMs - (2 + 40 * this.random.uniform()) * 86_400_000)
    this.nextPid = 1200
    this.values = new NodeValues(hardware, layout, this.random)
    const atBoot = this.bootMs + 21_000
    this.daemons = startDaemons((process, user) => this.spawn({ ...process, startMs: atBoot }, user))
    this.nextPid = this.random.integer(20_000, 400_000)
  }

  get freeCores(): number {
    return this.hardware.cores - this.running.reduce((sum, r) => sum + r.cores, 0)
  }

  /** Starts a job's part on this node: the step daemon and the batch shell come with it, as under Slurm. */
  start(job: SimulatedJob, index: number, timeMs: number): void {
    const cores = job.coresPerNode ?? this.hardware.cores
    const memoryBytes = Math.min(job.app.memoryBytesPerNode ?? this.hardware.memoryBytes, this.hardware.memoryBytes)
    const stepd = this.spawn(
      { name: 'slurmstepd', command: `slurmstepd: [${job.id}.0]`, tree: STEPD, threads: 5, startMs: timeMs },
      'root',
      job,
    )
    const share = job.app.start({
      job,
      index,
      cores,
      memoryBytes,
      random: openRandom(this.seed, 'share', job.id, index),
      spawn: process => this.spawn({ parentPid: stepd.pid, startMs: timeMs + 400, ...process }, job.user, job),
    })
    const firstCore = this.running.reduce((sum, r) => sum + r.cores, 0)
    this.running.push({
      job,
      stepd,
      share,
      cores,
      memoryBytes,
      firstCore: share.spread === 1 ? firstCore + 11 : firstCore,
    })
  }

  /** The job's processes are gone in the next tick. */
  end(job: SimulatedJob): void {
    const at = this.running.findIndex(r => r.job === job)
    if (at >= 0) this.running.splice(at, 1)
  }

  allocation(job: SimulatedJob): { node: string; cores: number; memoryBytes: number } | undefined {
    const r = this.running.find(x => x.job === job)
    return r && { node: this.node, cores: r.cores, memoryBytes: r.memoryBytes }
  }

  tick(timeMs: number, stepMs: number): void {
    this.drift.step()
    const load = zeroLoad()
    const modes = this.values.modes
    modes.clear()
    this.daemons.tick(stepMs, this.random)
    const processes = [...this.daemons.processes]
    for (const run of this.running) {
      spend(run.stepd, 0.0006, STEPD_MIX, stepMs)
      run.stepd.memoryBytes = 8.6 * MIB
      processes.push(run.stepd)
    }
    addUp(processes, modes, 0, this.hardware.cores)
    for (const run of this.running) {
      const iowait = load.iowait
      run.share.tick(this.givenTo(run, timeMs, stepMs), load)
      processes.push(...run.share.processes)
      addUp(run.share.processes, modes, run.firstCore, run.share.spread)
      modes.iowait(load.iowait - iowait, run.firstCore, run.share.spread)
    }
    this.keepGone(processes)
    this.values.fill(load, processes, this.drift, stepMs)
  }

  private givenTo(run: Running, timeMs: number, stepMs: number): Given {
    return {
      timeMs,
      stepMs,
      ageMs: timeMs - run.job.startMs,
      crowding: this.running.some(r => r !== run && r.share.crowds),
      drift: this.drift,
      random: this.random,
    }
  }

  private keepGone(processes: SimulatedProcess[]): void {
    const alive = new Set(processes)
    for (const p of this.alive) if (!alive.has(p)) this.gone.push(p)
    this.alive = alive
    this.processes = processes
  }

  private spawn(given: NewProcess & { user?: string }, user: string, job?: SimulatedJob): SimulatedProcess {
    this.nextPid += this.random.integer(1, 9)
    const owned = given.kernel ? undefined : job
    return {
      pid: this.nextPid,
      startMs: given.startMs ?? this.bootMs,
      parentPid: given.kernel ? 2 : (given.parentPid ?? 1),
      name: given.name.slice(0, 15),
      command: given.command,
      user: given.kernel ? 'root' : user,
      job: owned?.id ?? '',
      step: owned ? (given.step ?? 'batch') : '',
      rank: owned ? given.rank : undefined,
      threads: given.threads ?? 1,
      state: 'S',
      userCores: 0,
      systemCores: 0,
      memoryBytes: 0,
      readBytesPerSecond: 0,
      writeBytesPerSecond: 0,
      tree: given.tree,
      seconds: new Float64Array(given.tree.groups.length),
    }
  }

  /** What the node says of itself at start. */
  inventory(cluster: string, stepMs: number, updatedMs: number): Node {
    const { cores, memoryBytes, pressure, perCore, devices, gpus } = this.hardware
    return {
      cluster,
      node: this.node,
      aliases: [`${this.node}.${cluster}.example`],
      os: 'Debian GNU/Linux 12 (bookworm)',
      kernel: pressure ? '6.1.0-25-amd64' : '6.1.0-25-nopsi-amd64',
      arch: 'x64',
      cpuModel: 'AMD EPYC 9354 32-Core Processor',
      sockets: 2,
      cores,
      threads: cores,
      numaNodes: 2,
      memoryBytes,
      disks: [
        { name: 'nvme0n1', bytes: 480 * 1e9, model: 'SAMSUNG MZQL2480HCJR' },
        { name: 'nvme1n1', bytes: 3.84e12, model: 'KIOXIA KCD81RUG3T84' },
      ],
      interfaces: [
        { name: 'eth0', bitsPerSecond: 25e9 },
        { name: 'ib0', bitsPerSecond: 200e9 },
      ],
      ...(gpus > 0 ? { gpus: gpuRecords(gpus) } : {}),
      bootMs: this.bootMs,
      collectorVersion: 'simulated',
      intervalMs: stepMs,
      sources: {
        cpu: perCore ? 'ok' : 'ok (perCore is off)',
        load: 'ok',
        memory: 'ok',
        disk: 'ok',
        network: 'ok',
        processes: 'ok',
        pressure: pressure ? 'ok' : 'kernel without PSI: boot with psi=1',
        ...(devices ? DEVICE_SOURCES : {}),
        ...(gpus > 0 ? { nvidia: 'ok' } : {}),
        stacks: 'simulated at 19 Hz',
      },
      updatedMs,
    }
  }
}

const gpuRecords = (count: number): NonNullable<Node['gpus']> =>
  Array.from({ length: count }, (_, i) => ({
    id: gpuAddress(i),
    model: 'NVIDIA H100 80GB HBM3',
    memoryBytes: GPU_BYTES,
  }))

const DEVICE_SOURCES = {
  frequency: 'ok',
  numa: 'ok',
  tcp: 'ok',
  infiniband: 'ok',
  filesystem: 'ok',
  nfs: 'ok',
  lustre: 'ok',
  bandwidth: 'ok',
  power: 'ok',
  'host power': 'ok',
  'memory controllers': 'ok',
  counters: 'ok',

  temperature: 'ok',
  gpu: 'no GPU of AMD or Intel with a driver (amdgpu, xe, i915)',
  nvidia: 'no GPU of NVIDIA',
}

function addUp(processes: readonly SimulatedProcess[], modes: Modes, firstCore: number, spread: number): void {
  let user = 0
  let system = 0
  for (const p of processes) {
    user += p.userCores
    system += p.systemCores
  }
  modes.busy(user, system, firstCore, spread)
}
