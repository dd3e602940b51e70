/** Why the addon is not there on this machine; undefined where it is. */
import { readAddon } from '../collector/addon.ts'

const addon = readAddon(loaded => loaded)
export const missingAddon = 'absent' in addon ? String(addon.absent) : undefined
