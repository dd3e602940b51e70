/** Programs that sources ask. A daemon may be started without a PATH: then the usual directories are searched. */
import { Commands } from './schedulers/command.ts'
import type { SourceOptions } from './source.ts'

const USUAL = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** One that takes longer is killed. */
export const openCommands = ({ env }: Pick<SourceOptions, 'env'>, timeoutMs: number): Commands =>
  new Commands({ env: { PATH: USUAL, ...env }, timeoutMs })
