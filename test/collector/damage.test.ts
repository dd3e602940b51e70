/**
 * Kernel files that are empty, garbage, of another kind, or gone, each in turn, under all sources at once: what cannot be
 * read is absent, counted and logged; never a crash, never a 0 in place of a value, and everything else is still told.
 */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openPanel, type Panel } from '../../collector/panel.ts'
import { type Reading, SOURCES } from '../../collector/source.ts'
import { findMetric } from '../../ingest/metrics.ts'
import { everything } from './everything.ts'
import { type Machine, makeMachine } from './machine.ts'

/** Those that ask programs or the network, and those of hardware counters, have tests of their own. */
const WITH_FILES = SOURCES.filter(
  ({ name }) => !/^(filesystem|gpfs|nvidia|memory controllers|counters|job bandwidth)$/.test(name),
)

interface World {
  machine: Machine
  panel: Panel
  /** A second passes, with files that differ from what they should be. */
  next(damaged?: Readonly<Record<string, string>>): Map<string, number>
  errors(): number
}

const keyOf = ({ entity, instance, column }: Reading) => `${entity} ${instance} ${column}`

async function openWorld(): Promise<World> {
  const machine = makeMachine(everything(0))
  const { roots, log } = machine.options
  const panel = await openPanel({
    roots,
    log,
    perCore: true,
    env: { PATH: '' },
    sources: WITH_FILES,
    onChange: () => {},
  })
  onTestFinished(() => panel.close())
  const written = new Map<string, string>()
  const write = (files: Readonly<Record<string, string>>) => {
    for (const [path, text] of Object.entries(files)) {
      if (written.get(path) !== text) machine.write(path, text)
      written.set(path, text)
    }
  }
  const states = [everything(0), everything(1)] as const
  const read = () => new Map(panel.read(machine.tick(10_000)).map(reading => [keyOf(reading), reading.value]))
  return {
    machine,
    panel,
    next(damaged = {}) {
      write(states[0])
      read()
      write({ ...states[1], ...damaged })
      return read()
    },
    errors: () => Object.values(panel.errors()).reduce((sum, count) => sum + count, 0),
  }
}

const DAMAGE: Readonly<Record<string, (text: string) => string>> = {
  empty: () => '',
  garbage: () => '\u0000\u0001\ufffd\u00ff%n%s\u0007'.repeat(40),
  words: text => text.replace(/\d+/g, 'N/A'),
  // of a file that is one number; the kernel's tables have none below 0
  negative: text => (/^\d+\s*$/.test(text) ? '-1\n' : text),
}

/** Files whose numbers are only looked at once, at the start: what they say then holds. */
const AT_START =
  /topology|cache\/index3|max_energy_range|power_limit|name$|_label$|uevent|cpuinfo|power1_cap$|vram_total$|max_freq$|node\/online/
const paths = Object.keys(everything(1)).filter(path => !AT_START.test(path))

/** Blank is what the kernel writes here for no I/O, and for no CPUs set. */
const MAY_BE_BLANK = /io\.stat$|cpuset\.cpus\.effective$/

/** What is wrong with the readings of a tick in which `path` was damaged. */
function judge(whole: ReadonlyMap<string, number>, told: ReadonlyMap<string, number>, counted: boolean): string[] {
  const missing = [...whole.keys()].filter(key => !told.has(key))
  const wrong = [...told].flatMap(([key, value]) => {
    const [entity = '', , column = ''] = key.split(' ')
    const metric = findMetric(entity as Reading['entity'], column)
    if (!metric) return [`${key} is not in the catalogue`]
    if (!Number.isFinite(value) || value < 0) return [`${key} is ${value}`]
    if (column === 'gpu_count') return []
    return value === 0 && (whole.get(key) ?? 0) > 0 ? [`${key} is 0 in place of ${whole.get(key)}`] : []
  })
  return missing.length > 0 && !counted
    ? [...wrong, `missing and not counted: ${missing.slice(0, 3).join(', ')}`]
    : wrong
}

describe('damaged kernel files', () => {
  it('are a node whose sources all work while nothing is damaged', async () => {
    const { panel, next, errors } = await openWorld()
    expect(next().size).toBeGreaterThan(120)
    expect(panel.status().filter(({ state }) => state !== 'works')).toEqual([])
    expect(errors()).toBe(0)
  })

  it.each(Object.entries(DAMAGE))(
    '%s: absent, counted and never 0',
    async (_, damage) => {
      const { panel, next, errors, machine } = await openWorld()
      const whole = next()
      const files = everything(1)
      const found = paths.flatMap(path => {
        const before = errors()
        const damaged = damage(files[path] ?? '')
        if (damaged === '' && MAY_BE_BLANK.test(path)) return []
        const told = next({ [path]: damaged })
        return judge(whole, told, errors() > before).map(words => `${path}: ${words}`)
      })
      expect(found).toEqual([])
      // everything is told again when the files are whole
      expect(next()).toEqual(whole)
      expect(panel.status().filter(({ state }) => state !== 'works')).toEqual([])
      expect(machine.logged.some(line => /can be read again/.test(line.msg))).toBe(true)
    },
    120_000,
  )

  it('that are gone: absent, counted, and read again later', async () => {
    const { panel, next, errors } = await openWorld()
    const whole = next()
    const found = paths.flatMap(path => {
      const file = panel.files.find(path)
      if (!file) return []
      const failing = vi.spyOn(file, 'read').mockImplementation(() => {
        throw Object.assign(new Error('ENODEV: no such device, read'), { code: 'ENODEV' })
      })
      const before = errors()
      const wrong = judge(whole, next(), errors() > before).map(words => `${path}: ${words}`)
      failing.mockRestore()
      return wrong
    })
    expect(found).toEqual([])
    expect(next()).toEqual(whole)
    expect(panel.status().filter(({ state }) => state !== 'works')).toEqual([])
  }, 120_000)

  it('cut short: no crash, and nothing that is no number', async () => {
    const { next } = await openWorld()
    next()
    const files = everything(1)
    for (const path of paths) {
      const text = files[path] ?? ''
      const told = next({ [path]: text.slice(0, Math.floor(text.length * 0.6)) })
      for (const [key, value] of told)
        expect([path, key, Number.isFinite(value) && value >= 0]).toEqual([path, key, true])
    }
  }, 120_000)
})
