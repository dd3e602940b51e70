/** Seeded damage: the same bodies come out broken in the same ways each run. */

/** https://prng.di.unimi.it/splitmix64.c, 32 bits of it. */
export function openRandom(seed: number): (below: number) => number {
  let state = BigInt(seed)
  return below => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n)
    let z = state
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n)
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn)
    return Number((z ^ (z >> 31n)) & 0xffff_ffffn) % below
  }
}

/** One to four kinds of damage to a copy. */
export function mutate(body: Uint8Array, others: readonly Uint8Array[], random: (below: number) => number): Uint8Array {
  let bytes = Buffer.from(body)
  for (let times = 1 + random(4); times > 0 && bytes.length > 0; times--) {
    const at = random(bytes.length)
    const length = 1 + random(Math.min(40, bytes.length - at))
    switch (random(8)) {
      case 0:
        bytes[at] = random(256)
        break
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
        break
      case 2:
        bytes = bytes.subarray(0, at)
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
        break
      case 5:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(Array.from({ length }, () => random(256))),
          bytes.subarray(at),
        ])
        break
      case 6: {
        const other = others[random(others.length)] ?? bytes
        const from = random(other.length)
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + length), bytes.subarray(at + length)])
        break
      }
      default:
        bytes.fill(255, at, at + length)
    }
  }
  return bytes
}
