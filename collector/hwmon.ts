/**
 * /sys/class/hwmon: sensors, a directory a chip. https://docs.kernel.org/hwmon/sysfs-interface.html
 *
 *   hwmon3/name             coretemp
 *   hwmon3/temp1_label      Package id 0
 *   hwmon3/temp1_input      48000             thousandths of a degree; power in millionths of a watt, energy of a joule
 *
 * Sensors in the CPU answer at once. Those behind a bus or a board's controller take milliseconds, some of them a second: these
 * are read beside the tick.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Roots } from './source.ts'

export interface Chip {
  name: string
  /** sys/class/hwmon/hwmon3, as files are looked for */
  path: string
  /** The same, where it lies. */
  directory: string
  /** temp1_input … */
  files: readonly string[]
}

export function readChips(roots: Pick<Roots, 'sys'>): Chip[] {
  const chips: Chip[] = []
  for (const entry of listed(join(roots.sys, 'class/hwmon')).sort(byNumber)) {
    const directory = join(roots.sys, 'class/hwmon', entry)
    const name = readText(join(directory, 'name'))
    if (name === undefined) continue
    chips.push({ name, path: `sys/class/hwmon/${entry}`, directory, files: listed(directory) })
    // ACPI power meters had their files one level down until Linux 6.13
    const inner = join(directory, 'device')
    const files = listed(inner).filter(file => /^power\d+_/.test(file))
    if (files.length > 0) chips.push({ name, path: `sys/class/hwmon/${entry}/device`, directory: inner, files })
  }
  return chips
}

const byNumber = (a: string, b: string) => a.localeCompare(b, undefined, { numeric: true })

export function listed(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

/** A file that is read once; undefined where it cannot be. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Whole numbers only, as the kernel writes them: '' and 'N/A' are none, and what is below 0 stands for none. */
export function parseNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d+\s*$/.test(text) ? Number(text) : undefined
}

/** A sensor that may take long. */
export async function readSlowly(path: string, signal: AbortSignal): Promise<number | undefined> {
  return parseNumber(await readFile(path, { encoding: 'utf8', signal }))
}
