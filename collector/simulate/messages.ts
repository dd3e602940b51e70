/** The messages of a simulated node: its own metrics, and one for each process. The names are those of the catalogue. */
import { ENTITIES, type Metric } from '../../ingest/metrics.ts'
import type { Attributes, Body } from '../otlpbody.ts'
import type { SimulatedProcess } from './model.ts'
import { Message, type Shape } from './request.ts'
import { type Layout, metricAt } from './values.ts'

export interface Sender {
  cluster: string | undefined
  stepMs: number
}

const resourceOf = (node: string, sender: Sender): Attributes => ({
  'host.name': node,
  ...(sender.cluster === undefined ? {} : { 'jobsight.cluster': sender.cluster }),
  'jobsight.simulated': true,
  'jobsight.interval_ms': sender.stepMs,
})

const OTLP_UNITS: Readonly<Record<Metric['unit'], { gauge: string; sum: string }>> = {
  ratio: { gauge: '1', sum: 's' },
  bytes: { gauge: 'By', sum: 'By' },
  'bytes/s': { gauge: 'By/s', sum: 'By' },
  '1/s': { gauge: '1/s', sum: '1' },
  '1': { gauge: '1', sum: 's' },
  W: { gauge: 'W', sum: 'J' },
  Cel: { gauge: 'Cel', sum: 'Cel' },
  Hz: { gauge: 'Hz', sum: '1' },
  J: { gauge: 'J', sum: 'J' },
}

interface Slot {
  shape: Shape
  /** Of the value in the node's flat array. */
  at: number
  factor: number
}

/** One slot for each value that is there. */
function slotsOf(layout: Layout, flat: Float64Array, stepMs: number): Slot[] {
  const slots: Slot[] = []
  for (const row of layout.rows) {
    for (let column = 0; ; column++) {
      const metric = metricAt(row, column)
      if (!metric) break
      const arrival = metric.arrives[0]
      const at = row.offset + column
      if (!arrival || Number.isNaN(flat[at])) continue
      const instance = ENTITIES[row.entity].instance[0]
      const sum = metric.kind === 'rate' && !arrival.name.endsWith('.utilization')
      slots.push({
        at,
        factor: (sum ? stepMs / 1000 : 1) * (arrival.divideBy ?? 1),
        shape: {
          name: arrival.name,
          unit: OTLP_UNITS[metric.unit][sum ? 'sum' : 'gauge'],
          sum,
          attributes: { ...arrival.attributes, ...(instance === undefined ? {} : { [instance]: row.instance }) },
        },
      })
    }
  }
  const order = new Map<string, number>()
  for (const s of slots) if (!order.has(s.shape.name)) order.set(s.shape.name, order.size)
  return slots.sort((a, b) => (order.get(a.shape.name) ?? 0) - (order.get(b.shape.name) ?? 0))
}

export class NodeMessage {
  private readonly message: Message
  private readonly slots: readonly Slot[]
  private readonly values: Float64Array

  constructor(node: string, sender: Sender, layout: Layout, flat: Float64Array) {
    this.slots = slotsOf(layout, flat, sender.stepMs)
    const shapes = this.slots.map(s => s.shape)
    this.message = new Message(resourceOf(node, sender), shapes)
    this.values = new Float64Array(shapes.length)
  }

  write(body: Body, startMs: number, timeMs: number, flat: Float64Array): void {
    this.slots.forEach((slot, i) => {
      this.values[i] = (flat[slot.at] ?? Number.NaN) * slot.factor
    })
    this.message.write(body, startMs, timeMs, this.values)
  }
}

const gauge = (name: string, unit: string, attributes: Attributes = {}): Shape => ({
  name,
  unit,
  sum: false,
  attributes,
})

const io = (direction: string): Shape => ({
  name: 'process.disk.io',
  unit: 'By',
  sum: true,
  attributes: { 'disk.io.direction': direction },
})

const PROCESS_SHAPES: readonly Shape[] = [
  gauge('process.cpu.utilization', '1', { 'cpu.mode': 'user' }),
  gauge('process.cpu.utilization', '1', { 'cpu.mode': 'system' }),
  gauge('process.memory.usage', 'By'),
  io('read'),
  io('write'),
  gauge('process.thread.count', '{thread}'),
]

const processAttributes = (p: SimulatedProcess): Attributes => ({
  'process.pid': p.pid,
  'process.creation.time': new Date(p.startMs).toISOString(),
  'process.executable.name': p.name,
  ...(p.command === '' ? {} : { 'process.command_line': p.command }),
  'process.owner': p.user,
  'process.parent_pid': p.parentPid,
  'jobsight.process.state': p.state,
  ...(p.job === '' ? {} : { 'jobsight.job.id': p.job, 'jobsight.job.step': p.step }),
  ...(p.rank === undefined ? {} : { 'jobsight.job.rank': p.rank }),
  'jobsight.evidence': p.job === '' ? 'none' : 'cgroup',
})

/** A process is laid out once in each state it is seen in; a node forgets those that ended. */
export class ProcessMessages {
  private known = new Map<SimulatedProcess, Map<string, Message>>()
  private readonly node: string
  private readonly sender: Sender
  private readonly values = new Float64Array(PROCESS_SHAPES.length)

  constructor(node: string, sender: Sender) {
    this.node = node
    this.sender = sender
  }

  write(body: Body, startMs: number, timeMs: number, processes: readonly SimulatedProcess[]): void {
    const alive = new Map<SimulatedProcess, Map<string, Message>>()
    const seconds = this.sender.stepMs / 1000
    for (const p of processes) {
      const states = this.known.get(p) ?? new Map<string, Message>()
      alive.set(p, states)
      let message = states.get(p.state)
      if (!message) {
        message = new Message({ ...resourceOf(this.node, this.sender), ...processAttributes(p) }, PROCESS_SHAPES)
        states.set(p.state, message)
      }
      const v = this.values
      v[0] = p.userCores
      v[1] = p.systemCores
      v[2] = p.memoryBytes
      v[3] = p.readBytesPerSecond * seconds
      v[4] = p.writeBytesPerSecond * seconds
      v[5] = p.threads
      message.write(body, startMs, timeMs, v)
    }
    this.known = alive
  }
}
