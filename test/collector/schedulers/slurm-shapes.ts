/**
 * What `squeue --json` of newer releases prints, made from a capture of 22.05 after the published schemas
 * (https://slurm.schedmd.com/openapi_release_notes.html, data_parser v0.0.39 to v0.0.45). Synthesised, not captured.
 */
type Json = Record<string, unknown>

const set = (value: unknown) =>
  typeof value === 'number' ? { set: true, infinite: false, number: value } : { set: false, infinite: false, number: 0 }

const COUNTS = ['array_job_id', 'array_task_id', 'cpus', 'node_count', 'het_job_id', 'het_job_offset', 'time_limit']
const TIMES = ['submit_time', 'start_time', 'end_time']

function withNumbers(job: Json, names: readonly string[]): Json {
  return { ...job, ...Object.fromEntries(names.map(name => [name, set(job[name])])) }
}

/** 21.08, v0.0.37: the nodes of an allocation are numbered. */
export function as2108(job: Json): Json {
  const resources = (job.job_resources ?? {}) as Json
  if (resources.allocated_nodes === undefined) return job
  const nodes = (resources.allocated_nodes as Json[]).map((node, i) => [
    i,
    { memory: node.memory_allocated, cpus: coresOf(node), sockets: {}, cores: {} },
  ])
  return { ...job, job_resources: { ...resources, allocated_nodes: Object.fromEntries(nodes) } }
}

/** 23.02, v0.0.39: numbers that can be unset are structs. */
export function as2302(job: Json): Json {
  return withNumbers(job, [...COUNTS, 'exit_code'])
}

/** 23.11, v0.0.40: states are a list, the exit code is taken apart. */
export function as2311(job: Json): Json {
  const status = Number(job.exit_code)
  const signal = status & 127
  return {
    ...withNumbers(job, [...COUNTS, ...TIMES]),
    job_state: [job.job_state],
    exit_code: {
      status: [signal ? 'SIGNALED' : status ? 'ERROR' : 'SUCCESS'],
      return_code: set(signal ? undefined : status >> 8),
      signal: { signal_id: set(signal || undefined), name: signal ? 'SOME' : '' },
    },
  }
}

/** 24.05 on, v0.0.41: allocations say CPUs and memory; 25.11 and 26.05 add names for the same. */
export function as2405(job: Json): Json {
  const before = (job.job_resources ?? {}) as Json
  const allocated = (before.allocated_nodes ?? []) as Json[]
  const allocation = allocated.map((node, index) => ({
    index,
    name: node.nodename,
    cpus: { count: coresOf(node), used: 0 },
    memory: { used: 0, allocated: node.memory_allocated },
    sockets: [],
  }))
  const nodes = { count: allocation.length, select_type: ['AVAILABLE'], list: job.nodes, whole: false, allocation }
  const newer = as2311(job)
  const exit = newer.exit_code as Json
  return {
    ...newer,
    exit_code: { ...exit, signal: { id: (exit.signal as Json).signal_id, name: '' } },
    job_resources: allocation.length > 0 ? { select_type: ['CPU'], nodes, cpus: job.cpus } : null,
    step_id: { sluid: 'sEKNKTV3WPV500', job_id: set(job.job_id) },
  }
}

function coresOf(node: Json): number {
  return Object.values(node.sockets as Json)
    .map(socket => Object.keys((socket as Json).cores as Json).length)
    .reduce((sum, n) => sum + n, 0)
}

/** 23.02 on: `scontrol show nodes --json`; state and flags are one list in capitals. */
export function asNewNode(node: Json): Json {
  const { state, state_flags, ...rest } = node
  const words = [state, ...(state_flags as unknown[])].map(word => String(word).toUpperCase())
  return { ...rest, state: words, boot_time: set(node.boot_time) }
}
