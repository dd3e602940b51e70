/**
 * Rate of a counter: what it grew by, a second. Undefined, so absent, where it cannot be known: at the first sight, after a
 * reset or a wrap (it went backwards), where it is not a number, where no time has passed.
 *
 *   before 100   now 160   over 2 s   -> 30
 *   before 100   now   7   over 2 s   -> undefined: how far it had got before it fell, nobody knows
 */
export function rateOf(before: number | undefined, now: number | undefined, seconds: number): number | undefined {
  if (before === undefined || now === undefined || !(seconds > 0)) return undefined
  const grown = now - before
  return grown >= 0 ? grown / seconds : undefined
}
