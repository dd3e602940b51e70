/** The addon of native/: loaded once, and each part takes from it what it knows. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** Beside this file's root in the sources, one folder up from dist/ when compiled. */
const PATHS = ['../native/jobsight.node', '../../native/jobsight.node']

/** `parse` answers undefined where the file is something else, or older than what is asked of it. */
export function readAddon<T extends object>(parse: (loaded: object) => T | undefined): T | { absent: string } {
  if (process.platform !== 'linux')
    return { absent: `the addon speaks with Linux kernels; this is ${process.platform}` }
  const path = PATHS.map(name => fileURLToPath(new URL(name, import.meta.url))).find(existsSync)
  if (path === undefined)
    return { absent: 'the addon is not built: run `node native/build.mjs` (it needs cargo, https://rustup.rs)' }
  try {
    const loaded: unknown = createRequire(import.meta.url)(path)
    const addon = typeof loaded === 'object' && loaded !== null ? parse(loaded) : undefined
    if (addon) return addon
    throw new Error('it is another one, or an older')
  } catch (error) {
    return { absent: `${path} cannot be loaded (${reasonOf(error)}): run \`node native/build.mjs\` on this machine` }
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
