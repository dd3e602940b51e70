/** Tries at passwords are few: of one name from one address, of one name from everywhere, and from one address at all names. */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { QueryError } from '../errors.ts'

const WINDOW_SECONDS = 900
const OF_BOTH = 5
/** Enough that nobody locks a name out from elsewhere by five wrong tries. */
const OF_NAME = 50
const OF_ADDRESS = 50

export interface Tries {
  /** Before the password is looked at. Throws QueryError 429 that says when to come again. */
  take(name: string, address: string): Promise<void>
  /** It was right: it does not count. */
  give(name: string, address: string): Promise<void>
}

export function openTries(): Tries {
  const both = new RateLimiterMemory({ points: OF_BOTH, duration: WINDOW_SECONDS })
  const names = new RateLimiterMemory({ points: OF_NAME, duration: WINDOW_SECONDS })
  const addresses = new RateLimiterMemory({ points: OF_ADDRESS, duration: WINDOW_SECONDS })
  const keyOf = (name: string, address: string) => `${address} ${name}`
  return {
    async take(name, address) {
      try {
        await addresses.consume(address)
        await names.consume(name)
        await both.consume(keyOf(name, address))
      } catch (error) {
        if (!(error instanceof RateLimiterRes)) throw error
        const minutes = Math.max(1, Math.ceil(error.msBeforeNext / 60_000))
        throw new QueryError(429, 'too_many_tries', `too many wrong passwords: try again in ${minutes} min`)
      }
    },
    async give(name, address) {
      await both.delete(keyOf(name, address))
      await names.reward(name)
      await addresses.reward(address)
    },
  }
}
