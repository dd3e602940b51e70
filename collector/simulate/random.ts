/**
 * Seeded randomness. Every node, job and process draws from its own stream, named by what it is, so that adding a node
 * leaves the values of the others as they were. Generator: sfc32 (PractRand-clean, 4 x 32 bit), seeded by xmur3-like mixing.
 */
export interface Random {
  /** Uniform in [0, 1). */
  uniform(): number
  /** Mean 0, deviation 1: the sum of four uniforms, which is close enough to normal and has no far tails. */
  gauss(): number
  /** Uniform integer in [low, high]. */
  integer(low: number, high: number): number
  /** Exponential with this mean. */
  exponential(mean: number): number
}

function mix(name: string): () => number {
  let h = 1779033703 ^ name.length
  for (let i = 0; i < name.length; i++) {
    h = Math.imul(h ^ name.charCodeAt(i), 3432918353)
    h = (h << 13) | (h >>> 19)
  }
  return () => {
    h = Math.imul(h ^ (h >>> 16), 2246822507)
    h = Math.imul(h ^ (h >>> 13), 3266489909)
    h ^= h >>> 16
    return h >>> 0
  }
}

export function openRandom(seed: number, ...names: (string | number)[]): Random {
  const next = mix([seed, ...names].join('\0'))
  let a = next()
  let b = next()
  let c = next()
  let d = next()
  const uniform = (): number => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + t) | 0
    return (t >>> 0) / 4294967296
  }
  for (let i = 0; i < 12; i++) uniform()
  return {
    uniform,
    gauss: () => (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508,
    integer: (low, high) => low + Math.floor(uniform() * (high - low + 1)),
    exponential: mean => -Math.log(1 - uniform()) * mean,
  }
}

/** Slow noise of mean 0 and deviation 1, one step a tick: x' = 0.9 x + 0.436 g, as real node metrics wander. */
export class Drift {
  readonly values: Float64Array
  readonly random: Random
  constructor(channels: number, random: Random) {
    this.random = random
    this.values = Float64Array.from({ length: channels }, () => random.gauss())
  }
  step(): void {
    const v = this.values
    for (let i = 0; i < v.length; i++) v[i] = 0.9 * (v[i] ?? 0) + 0.436 * this.random.gauss()
  }
  at(channel: number): number {
    return this.values[channel] ?? 0
  }
}
