/**
 * /proc/net/snmp: what TCP and UDP lost. https://docs.kernel.org/networking/snmp_counter.html
 *
 *   Tcp: RtoAlgorithm … CurrEstab InSegs OutSegs RetransSegs …      names,
 *   Tcp: 1 … 0 1738003 1722487 5923 …                               and in the next line their values
 */
import { rateOf } from '../counter.ts'
import { SourceError } from '../kernelfile.ts'
import type { Absent, Reading, Source, SourceOptions, Tick } from '../source.ts'

/** `Tcp.OutSegs` -> value. */
export function parseSnmp(text: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>()
  let names: readonly string[] | undefined
  for (const line of text.split('\n')) {
    const [protocol = '', ...words] = line.split(' ')
    if (protocol !== 'Tcp:' && protocol !== 'Udp:') continue
    if (!names) {
      names = words
      continue
    }
    names.forEach((name, i) => {
      const value = Number(words[i] ?? 'x')
      if (!Number.isNaN(value)) values.set(`${protocol.slice(0, -1)}.${name}`, value)
    })
    names = undefined
  }
  if (!values.has('Tcp.OutSegs')) throw new SourceError('/proc/net/snmp has no line of TCP')
  return values
}

const COUNTERS: Readonly<Record<string, readonly string[]>> = {
  tcp_sent: ['Tcp.OutSegs'],
  tcp_retransmits: ['Tcp.RetransSegs'],
  tcp_resets: ['Tcp.EstabResets', 'Tcp.AttemptFails'],
  // of a receive buffer that is full, the kernel counts both
  udp_errors: ['Udp.InErrors'],
}

export function openTcp({ files, roots }: SourceOptions): Source | Absent {
  // as with net/dev: in a container process 1 of the host's /proc has the host's
  const paths = roots.proc === '/proc' ? ['proc/net/snmp'] : ['proc/1/net/snmp', 'proc/net/snmp']
  const file = paths.map(path => files.find(path)).find(found => found !== undefined)
  if (!file) return { absent: 'no /proc/net/snmp' }
  let before: { values: ReadonlyMap<string, number>; monotonicMs: number } | undefined
  return {
    name: 'tcp',
    read(tick: Tick) {
      const values = parseSnmp(file.read(tick))
      const last = before
      before = { values, monotonicMs: tick.monotonicMs }
      const seconds = (tick.monotonicMs - (last?.monotonicMs ?? tick.monotonicMs)) / 1000
      const readings = Object.entries(COUNTERS).flatMap(([column, names]): Reading[] => {
        const rates = names.map(name => rateOf(last?.values.get(name), values.get(name), seconds) ?? Number.NaN)
        const value = rates.reduce((sum, rate) => sum + rate, 0)
        return Number.isNaN(value) ? [] : [{ entity: 'node', column, instance: '', value }]
      })
      const connections = values.get('Tcp.CurrEstab')
      if (connections === undefined) return readings
      return [...readings, { entity: 'node', column: 'tcp_connections', instance: '', value: connections }]
    },
  }
}
