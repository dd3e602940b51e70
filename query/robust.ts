/** Medians and robust distances: what most nodes do, and how far one is from it. */

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

/** With two one cannot say which is the odd one. */
const ENOUGH = 3

/**
 * 0.6745 (x - median) / MAD, as standard deviations where most are normal: Iglewicz and Hoaglin, who call 3.5 an outlier.
 * Where most values are equal the MAD is 0; then 1 % of the median stands for it, so that dust is not called far.
 */
export function robustScores(values: readonly (number | null)[]): (number | null)[] {
  const there = values.filter(value => value !== null)
  const middle = median(there)
  if (middle === null || there.length < ENOUGH) return values.map(() => null)
  const mad = median(there.map(value => Math.abs(value - middle))) ?? 0
  const spread = Math.max(mad, 0.01 * Math.abs(middle), 1e-9)
  return values.map(value => (value === null ? null : (0.6745 * (value - middle)) / spread))
}
