import { expect, it } from 'vitest'
import { PartError } from '../../collector/kernelfile.ts'
import { openPanel } from '../../collector/panel.ts'
import type { Reading, Tick } from '../../collector/source.ts'
import { makeMachine, table } from './machine.ts'

const watts = (value: number): Reading => ({ entity: 'node', column: 'power_watts', instance: '', value })

async function panelOf(read: (tick: Tick) => Reading[], detail?: () => string) {
  const machine = makeMachine({})
  const source = { name: 'power', read, ...(detail ? { detail } : {}) }
  const sources = [{ name: 'power', open: () => source }]
  return { machine, panel: await openPanel({ ...machine.options, sources, onChange: () => {} }) }
}

it('keeps what a source could read where a part of it could not be, and counts that', async () => {
  const { machine, panel } = await panelOf(() => {
    throw new PartError('package 1 cannot be read: ENODEV', [watts(70)])
  })
  expect(table(panel.read(machine.tick()))).toEqual({ 'node power_watts': 70 })
  panel.read(machine.tick())
  expect(panel.status()).toEqual([
    { name: 'power', state: 'failing', why: 'package 1 cannot be read: ENODEV', errors: 2 },
  ])
  expect(machine.logged.map(line => line.msg)).toEqual(['power cannot be read wholly, what is missing is left out'])
})

it('tells what a source that works has and lacks', async () => {
  const { machine, panel } = await panelOf(
    () => [],
    () => 'packages 0 and 1; no ipmitool',
  )
  panel.read(machine.tick())
  expect(panel.status()).toEqual([{ name: 'power', state: 'works', why: 'packages 0 and 1; no ipmitool', errors: 0 }])
})

it('reads no file that never ends', () => {
  const machine = makeMachine({ 'proc/short': 'x' })
  machine.write('proc/huge', 'x'.repeat(33 << 20))
  expect(machine.options.files.find('proc/huge')).toBeUndefined()
  expect(machine.options.files.find('proc/short')?.read(machine.tick())).toBe('x')
})
