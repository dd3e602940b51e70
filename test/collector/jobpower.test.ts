import { expect, it } from 'vitest'
import { openJobPower } from '../../collector/jobpower.ts'
import type { Reading } from '../../collector/source.ts'
import { table } from './machine.ts'

const of =
  (entity: Reading['entity'], instance: string) =>
  (values: Readonly<Record<string, number>>): Reading[] =>
    Object.entries(values).map(([column, value]) => ({ entity, instance, column, value }))
const node = of('node', '')({ cpu_count: 32, cpu_user: 0.4, cpu_nice: 0, cpu_system: 0.1, cpu_iowait: 0.3 })
const socket = (instance: string, watts: number) =>
  of('socket', instance)({ power_watts: watts, memory_power_watts: 20, temperature: 60 })
const job = (id: string, user: number, system: number, limit: number) =>
  of('job', id)({ cpu_user: user, cpu_system: system, cpu_limit: limit })

it('charges a job with its share of the CPU time, and one that has the node with all of it', () => {
  const packages = [...socket('0', 180), ...socket('1', 180)]
  // 16 cores worked, 400 W
  const shared = [...node, ...packages, ...job('1', 7, 1, 8), ...job('2', 2, 0, 8)]
  expect(table(openJobPower().next(shared))).toEqual({ 'job 1 power_watts': 200, 'job 2 power_watts': 50 })
  expect(table(openJobPower().next([...node, ...packages, ...job('1', 1, 0, 32)]))).toEqual({
    'job 1 power_watts': 400,
  })
})

it('is absent where a package or the job’s time is not known', () => {
  const power = openJobPower()
  power.next([...node, ...socket('0', 180), ...socket('1', 180)])
  expect(power.next([...node, ...socket('0', 180), ...job('1', 1, 0, 8)])).toEqual([])
  expect(power.next([...node, ...socket('0', 1), ...socket('1', 1), ...of('job', '1')({ cpu_limit: 8 })])).toEqual([])
  expect(openJobPower().next([...node, ...job('1', 1, 0, 8)])).toEqual([])
})
