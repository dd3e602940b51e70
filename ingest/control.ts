/**
 * The switchboard of the control line: which nodes have one open, and what goes over it. What carries a line (a WebSocket, or
 * a call in this process) is not its business.
 */
import type { Logger } from 'pino'
import { Compile } from 'typebox/compile'
import { type BurstNews, type BurstOrder, type ControlHello, FromCollector, type ToCollector } from './burst.ts'
import type { Sender } from './senders.ts'

/** A collector as the switchboard reaches it. */
export interface Line {
  send(frame: ToCollector): void
  close(reason: string): void
  /** Whose line it is; absent: anyone's, for any cluster. */
  readonly sender?: Sender | undefined
}

/** The switchboard as a line reaches it. */
export interface LineEnd {
  hear(frame: unknown): void
  gone(): void
}

export type OnNews = (cluster: string, node: string, news: BurstNews) => void

export interface Control {
  join(line: Line): LineEnd
  /** Whether the node takes bursts now, else why not and what to do. */
  reach(cluster: string, node: string): true | string
  /** Nodes with an open line. */
  nodes(cluster: string): string[]
  start(cluster: string, node: string, order: BurstOrder): true | string
  stop(cluster: string, node: string, burst: string): void
  onNews(listener: OnNews): () => void
  counters(): Record<string, number>
}

const isFrame = Compile(FromCollector)

interface Open {
  line: Line
  hello: ControlHello
}

export function openControl(defaultCluster: string, log: Logger): Control {
  return new Switchboard(defaultCluster, log)
}

class Switchboard implements Control {
  readonly #defaultCluster: string
  readonly #log: Logger
  readonly #open = new Map<string, Open>()
  readonly #listeners = new Set<OnNews>()
  #refusedFrames = 0

  constructor(defaultCluster: string, log: Logger) {
    this.#defaultCluster = defaultCluster
    this.#log = log
  }

  join(line: Line): LineEnd {
    let at: { key: string; cluster: string; node: string } | undefined
    return {
      hear: frame => {
        const told = isFrame.Check(frame) ? (frame as FromCollector) : undefined
        if (told === undefined || 'hello' in told === (at !== undefined)) {
          this.#refusedFrames++
          line.close('say hello once, then news of bursts')
        } else if ('hello' in told) at = this.#speaksFor(line, told.hello) ? this.#enter(line, told.hello) : undefined
        else if (at) for (const listener of this.#listeners) listener(at.cluster, at.node, told)
      },
      gone: () => {
        if (at && this.#open.get(at.key)?.line === line) this.#open.delete(at.key)
      },
    }
  }

  #speaksFor(line: Line, { cluster = this.#defaultCluster, node }: ControlHello): boolean {
    if (line.sender === undefined || line.sender.cluster === cluster) return true
    this.#refusedFrames++
    this.#log.warn(
      { node, cluster, sender: line.sender.cluster },
      'control: a node says hello for another cluster than its token is of',
    )
    line.close(`the sender speaks for cluster ${line.sender.cluster}, not for ${cluster}`)
    return false
  }

  /** A node that comes again (its old line may not know yet that it is dead) takes the place of itself. */
  #enter(line: Line, hello: ControlHello): { key: string; cluster: string; node: string } {
    const cluster = hello.cluster ?? this.#defaultCluster
    const key = keyOf(cluster, hello.node)
    const before = this.#open.get(key)
    this.#open.set(key, { line, hello })
    if (before && before.line !== line) before.line.close('another line of this node was opened')
    this.#log.debug({ cluster, node: hello.node }, 'control: a node is there')
    return { key, cluster, node: hello.node }
  }

  reach(cluster: string, node: string): true | string {
    const open = this.#open.get(keyOf(cluster, node))
    if (open === undefined)
      return `${node} has no control line to this server: is \`jobsight collect\` running there, with this server as --endpoint?`
    return open.hello.absent === undefined ? true : `${node} takes no bursts: ${open.hello.absent}`
  }

  nodes(cluster: string): string[] {
    const prefix = keyOf(cluster, '')
    return [...this.#open.keys()].filter(key => key.startsWith(prefix)).map(key => key.slice(prefix.length))
  }

  start(cluster: string, node: string, order: BurstOrder): true | string {
    const reached = this.reach(cluster, node)
    if (reached === true) this.#open.get(keyOf(cluster, node))?.line.send({ start: order })
    return reached
  }

  stop(cluster: string, node: string, burst: string): void {
    this.#open.get(keyOf(cluster, node))?.line.send({ stop: burst })
  }

  onNews(listener: OnNews): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  counters(): Record<string, number> {
    return { controlLines: this.#open.size, controlRefusedFrames: this.#refusedFrames }
  }
}

const keyOf = (cluster: string, node: string): string => `${cluster}\0${node}`
