/**
 * The Sampler contract: the seam between whoever takes stack samples (the addon in native.ts, perf(1) in perf.ts, a file
 * being imported) and stacks.ts, which turns windows into OTLP profiles.
 *
 * A window is dictionary-encoded and flat: JavaScript crosses into the addon once a drain, and no object is made a sample.
 *
 *   samples    process   [0, 0, 1]          stacks   offsets [0, 3, 5]      frames   function [12, 7, 3, 9]
 *              stack     [0, 1, 1]                   frames  [2,1,0, 3,0]            module   [ 1, 1, 4, 5]
 *              periodNs  [..]                        leaf first                      kind     [ 0, 0, 1, 0]
 */

/** A process as the sampler saw it. Several windows may describe the same one. */
export interface SampledProcess {
  pid: number
  /** ms since the epoch; 0 when the process was gone before anyone could look. Key together with pid. */
  startMs: number
  /** comm at the end of the window. */
  name: string
  /** cgroup v2 path where the kernel told it (PERF_SAMPLE_CGROUP), else ''. */
  cgroup: string
}

export interface StackWindow {
  startMs: number
  endMs: number
  /** 'cpu': values are nanoseconds on a CPU. */
  event: string
  /** '' for the continuous profile, else the id of the burst that asked for it. */
  burst: string
  /** Index 0 is ''. All names below are indices into this. */
  strings: string[]
  processes: SampledProcess[]
  frames: {
    function: Uint32Array
    module: Uint32Array
    file: Uint32Array
    line: Uint32Array
    /** Index into FRAME_KINDS of ingest/records.ts. */
    kind: Uint8Array
  }
  stacks: {
    /** Stack i is frames[offsets[i] .. offsets[i + 1]), leaf first, physical and inlined frames alike. */
    offsets: Uint32Array
    frames: Uint32Array
  }
  /** One entry per distinct (process, thread name, stack). */
  samples: {
    process: Uint32Array
    /** Thread name, into strings. */
    thread: Uint32Array
    stack: Uint32Array
    /** Summed period in ns. */
    periodNs: Float64Array
    count: Uint32Array
  }
  counters: SamplerCounters
}

/** What happened in the window beside the samples that are in it. */
export interface SamplerCounters {
  /** Samples the kernel or the sampler dropped. */
  lost: number
  throttled: number
  /** Samples behind the window. What follows is absent where the sampler cannot tell it. */
  samples?: number
  /** Samples whose stack copy was too short to reach a root. */
  truncated?: number
  /** Samples whose stack copy was too short, completed from the process itself. */
  extended?: number
  /** Samples whose stack ends where nothing says who called. */
  unfinished?: number
  /** Frames of all samples, and how many of them have a name. */
  frames?: number
  namedFrames?: number
  /** CPU time the sampler itself took. */
  ownCpuNs?: number
}

/** What `doctor` and the page say of a running sampler. */
export interface SamplerStatus {
  /** 'addon' or 'perf'. */
  kind: string
  hz: number
  /** 'cpu-clock' or 'cycles'. */
  clock: string
}

export interface SamplerOptions {
  /** Samples a second and CPU. 19 by default: prime, against lockstep. */
  hz: number
  windowMs: number
  includeIdle: boolean
  /** Stack copy per sample; deeper stacks are cut and said to be truncated. */
  stackBytes: number
}

/** What a burst looks at: a process, everything in a cgroup, or the node. */
export type BurstTarget = { pid: number } | { cgroup: string } | 'node'

/** A closer look beside the continuous profile: its windows come from drain() like all others, with `burst` set. */
export interface BurstOptions {
  /** Id that its windows carry. */
  burst: string
  /** Up to 2000. */
  hz: number
  durationMs: number
  target: BurstTarget
  /** Default: the sampler's own. */
  windowMs?: number
  stackBytes?: number
}

/** A running burst. It ends by itself. */
export interface Burst {
  stop(): void
}

export interface Sampler {
  readonly status: SamplerStatus
  /** Absent where the sampler cannot look closer. */
  startBurst?(options: BurstOptions): Burst | { absent: string }
  /** The windows that have ended since the last call. Never blocks for long; bounded memory: what does not fit is counted as lost. */
  drain(): StackWindow[] | Promise<StackWindow[]>
  stop(): Promise<void>
}

/** Starts sampling, or says why it cannot and what to run so that it can. */
export type StartSampler = (options: SamplerOptions) => Promise<Sampler | { absent: string }>
