/**
 * What this node is: model, sockets, cores, memory, disks, cards, GPUs, and which sources work. Sent through the door 'jobs' at
 * start, when it changed, and once an hour, so that a receiver that lost it has it again.
 *
 * systeminformation starts a dozen programs (lscpu, lsblk, lspci …), about half a CPU second: beside the tick, once an hour.
 */
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { hostname, networkInterfaces, release } from 'node:os'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import type { Node } from '../ingest/records.ts'
import { present } from './schedulers/values.ts'
import type { Roots } from './source.ts'

/** The parts of systeminformation's answers that are used. */
export interface Found {
  cpu?: { manufacturer: string; brand: string; cores: number; physicalCores: number; processors: number }
  os?: { distro: string; release: string; kernel: string; arch: string; fqdn?: string }
  memory?: { total: number }
  blockDevices?: readonly { name: string; type: string; size: number; model: string }[]
  diskLayout?: readonly { device: string; name: string; size: number }[]
  interfaces?: readonly { iface: string; internal: boolean; virtual: boolean; speed: number | null }[]
  graphics?: readonly {
    vendor: string
    model: string
    vram: number | null
    busAddress?: string
    memoryTotal?: number
  }[]
  numaNodes?: number
}

/** A board's own display chip, or a virtual one, computes nothing. */
const NO_GPU = /aspeed|matrox|qemu|vmware|virtio|red hat|cirrus|bochs|microsoft|^$/i
const MIB = 1 << 20
const CHANGES_EVERY_MS = 60_000

const positive = (value: number | null | undefined) =>
  value !== undefined && value !== null && value > 0 ? value : undefined

const text = (word: string | undefined) => (word === '' ? undefined : word)

/** systeminformation's words -> the hardware part of a Node. Pure. */
export function parseInventory(found: Found): Partial<Node> {
  const { cpu, os } = found
  return present<Partial<Node>>({
    os: os ? [os.distro, os.release].filter(word => word && word !== 'unknown').join(' ') : undefined,
    kernel: os?.kernel ?? release(),
    arch: text(os?.arch),
    cpuModel: text(cpu ? `${cpu.manufacturer} ${cpu.brand}`.trim() : undefined),
    sockets: positive(cpu?.processors),
    cores: positive(cpu?.physicalCores),
    threads: positive(cpu?.cores),
    numaNodes: positive(found.numaNodes),
    memoryBytes: positive(found.memory?.total),
    disks: found.blockDevices ? disksOf(found) : undefined,
    interfaces: found.interfaces ? interfacesOf(found.interfaces) : undefined,
    gpus: found.graphics ? gpusOf(found.graphics) : undefined,
  })
}

type Disk = NonNullable<Node['disks']>[number]
type Card = NonNullable<Node['interfaces']>[number]
type Gpu = NonNullable<Node['gpus']>[number]

function disksOf({ blockDevices = [], diskLayout = [] }: Found): Disk[] {
  return blockDevices
    .filter(disk => disk.type === 'disk' && disk.size > 0)
    .map(disk => {
      const layout = diskLayout.find(one => one.device === `/dev/${disk.name}`)
      return present<Disk>({ name: disk.name, bytes: disk.size, model: text(disk.model) ?? text(layout?.name) })
    })
}

function interfacesOf(interfaces: NonNullable<Found['interfaces']>): Card[] {
  return interfaces
    .filter(card => !card.internal)
    .map(card => {
      const megabits = positive(card.speed)
      return present<Card>({ name: card.iface, bitsPerSecond: megabits === undefined ? undefined : megabits * 1e6 })
    })
}

function gpusOf(controllers: NonNullable<Found['graphics']>): Gpu[] {
  return controllers
    .filter(gpu => !NO_GPU.test(gpu.vendor) && !NO_GPU.test(gpu.model))
    .map((gpu, i) => {
      const mebibytes = positive(gpu.memoryTotal) ?? positive(gpu.vram)
      const memoryBytes = mebibytes === undefined ? undefined : mebibytes * MIB
      return present<Gpu>({ id: text(gpu.busAddress) ?? String(i), model: text(gpu.model), memoryBytes })
    })
}

/**
 * A part that cannot be read is missing, the rest is there. One after the other: a dozen programs at once would be seen in the
 * readings of an idle node.
 */
const LOOK = `
const { default: si } = await import(process.argv[1])
const or = look => look.catch(() => undefined)
const cpu = await or(si.cpu())
const os = await or(si.osInfo())
const memory = await or(si.mem())
const blockDevices = await or(si.blockDevices())
const diskLayout = await or(si.diskLayout())
const cards = await or(si.networkInterfaces())
const graphics = (await or(si.graphics()))?.controllers
const interfaces = cards === undefined || Array.isArray(cards) ? cards : [cards]
process.stdout.write(JSON.stringify({ cpu, os, memory, blockDevices, diskLayout, interfaces, graphics }))`
const LOOK_WITHIN_MS = 120_000

/** By a process of its own, which takes with it the 5 MiB that systeminformation would keep for a look an hour. */
export async function readInventory(roots: Roots): Promise<Found> {
  const args = ['--input-type=module', '-e', LOOK, import.meta.resolve('systeminformation')]
  const limits = { timeout: LOOK_WITHIN_MS, maxBuffer: 64 * MIB }
  const { stdout } = await promisify(execFile)(process.execPath, args, limits)
  return present<Found>({ ...parseFound(stdout), numaNodes: countNumaNodes(roots) })
}

const parseFound = (json: string): Found => JSON.parse(json) as Found

function countNumaNodes(roots: Roots): number | undefined {
  try {
    return readdirSync(`${roots.sys}/devices/system/node`).filter(name => /^node\d+$/.test(name)).length
  } catch {
    return undefined
  }
}

export interface InventoryOptions {
  cluster: string | undefined
  node: string
  intervalMs: number
  bootMs: number | undefined
  version: string | undefined
  everyMs: number
}

export interface Inventory {
  /** Something else is true of the node now: it is sent again, once for all that changes within a minute. */
  update(): void
  stop(): Promise<void>
}

export function startInventory(
  options: InventoryOptions,
  deps: {
    read: () => Promise<Found>
    /** source -> 'ok' or why it is absent, as it is at that moment. */
    sources: () => Record<string, string>
    put: (body: Uint8Array) => void
    now: () => number
    log: Logger
  },
): Inventory {
  let hardware: Partial<Node> | undefined
  let running: Promise<void> = Promise.resolve()
  const tell = () => {
    // before the first look there is nothing to tell, and it comes soon
    if (hardware === undefined) return
    const node = nodeOf(options, hardware, deps.sources(), deps.now())
    deps.put(Buffer.from(JSON.stringify({ nodes: [node] })))
  }
  const look = async () => {
    try {
      hardware = parseInventory(await deps.read())
    } catch (error) {
      deps.log.warn({ err: error }, 'what this node is made of cannot be read')
      hardware ??= {}
    }
    tell()
  }
  const round = () => {
    running = look()
  }
  round()
  const timer = setInterval(round, options.everyMs)
  timer.unref()
  let changed: NodeJS.Timeout | undefined
  return {
    update() {
      changed ??= setTimeout(() => {
        changed = undefined
        tell()
      }, CHANGES_EVERY_MS)
    },
    stop() {
      clearInterval(timer)
      clearTimeout(changed)
      return running
    },
  }
}

const MOST_ALIASES = 32

/** By which other machines reach this one, and a scheduler may call it. */
const addresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((all = []) =>
    all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:')).map(({ address }) => address),
  )

function nodeOf(options: InventoryOptions, hardware: Partial<Node>, sources: Record<string, string>, nowMs: number) {
  const aliases = [hostname(), ...addresses()].filter(name => name !== options.node).slice(0, MOST_ALIASES)
  return present<Partial<Node>>({
    cluster: options.cluster,
    node: options.node,
    aliases: aliases.length > 0 ? aliases : undefined,
    ...hardware,
    bootMs: options.bootMs,
    collectorVersion: options.version,
    intervalMs: options.intervalMs,
    sources,
    updatedMs: nowMs,
  })
}
