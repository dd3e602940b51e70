import { InfluxDB, Point } from '@influxdata/influxdb-client'
import { describe, expect, it } from 'vitest'
import { openDoors, rows } from '../place.ts'

const T = Math.floor(Date.now() / 1000) - 60

const doors = openDoors()

const post = (text: string, url = '/write?precision=s') =>
  doors.app.inject({ method: 'POST', url, payload: text, headers: { 'content-type': 'text/plain; charset=utf-8' } })

/** As telegraf 1.3x writes its cpu, mem, system, diskio, net, disk and pressure inputs; counters as of `second`. */
const telegraf = (second: number): string => {
  const grown = second - T
  return `
cpu,cpu=cpu0,host=n1.example usage_user=20,usage_system=10,usage_idle=70,usage_iowait=0,usage_nice=0,usage_irq=0,usage_softirq=0,usage_steal=0,usage_guest=0 ${second}
cpu,cpu=cpu1,host=n1.example usage_user=40,usage_system=10,usage_idle=50,usage_iowait=0,usage_nice=0,usage_irq=0,usage_softirq=0,usage_steal=0,usage_guest=0 ${second}
cpu,cpu=cpu-total,host=n1.example usage_user=30,usage_system=10,usage_idle=60,usage_iowait=0,usage_nice=0,usage_irq=0,usage_softirq=0,usage_steal=0,usage_guest=0 ${second}
mem,host=n1.example total=1000i,available=600i,free=300i,buffered=50i,cached=250i,dirty=7i,write_back=3i,used_percent=40 ${second}
swap,host=n1.example total=100i,used=10i,free=90i,in=4096i,out=0i ${second}
system,host=n1.example load1=1.5,load5=1.25,load15=1,n_cpus=2i,uptime=5i,uptime_format="0:00" ${second}
diskio,host=n1.example,name=sda reads=${10 * grown}i,writes=0i,read_bytes=${4096 * grown}i,write_bytes=0i,read_time=${500 * grown}i,write_time=0i,io_time=${250 * grown}i ${second}
net,host=n1.example,interface=eth0 bytes_recv=${1000 * grown}i,bytes_sent=${10 * grown}i,err_in=0i,drop_in=0i ${second}
net,host=n1.example,interface=all icmp_inmsgs=5i ${second}
disk,device=sda1,fstype=ext4,host=n1.example,mode=rw,path=/ total=100i,free=25i,used=70i,used_percent=73.7,inodes_total=10i,inodes_used=5i ${second}
pressure,host=n1.example,resource=io,type=some avg10=1.5,total=${100_000 * grown}i ${second}
mysql,host=n1.example,server=db1 threads=7i ${second}
`
}

describe('telegraf', () => {
  it('fills the same columns as our own collector', async () => {
    const { store, ingest } = doors
    for (const second of [T, T + 10]) {
      const answer = await post(telegraf(second))
      expect([answer.statusCode, answer.body]).toEqual([204, ''])
    }
    const [node] = await rows(
      store,
      `SELECT node, cpu_user, cpu_system, cpu_busy, cpu_count, load_1m, memory_total, memory_used, memory_cached, memory_dirty,
         swap_used, disk_read_bytes, disk_utilization, network_receive_bytes, pressure_io_some
       FROM node_points WHERE node = 'n1' AND time = toDateTime(${T + 10}, 'UTC')`,
    )
    expect(node).toEqual({
      node: 'n1',
      cpu_user: 3000,
      cpu_system: 1000,
      cpu_busy: 4000,
      cpu_count: '2',
      load_1m: '150',
      memory_total: '1000',
      memory_used: '400',
      memory_cached: '250',
      memory_dirty: '10',
      swap_used: '10',
      disk_read_bytes: '4096',
      disk_utilization: 2500,
      network_receive_bytes: '1000',
      pressure_io_some: 1000,
    })
    expect(
      await rows(
        store,
        "SELECT instance, cpu_user FROM core_points WHERE node = 'n1' ORDER BY time DESC, instance LIMIT 2",
      ),
    ).toEqual([
      { instance: '0', cpu_user: 2000 },
      { instance: '1', cpu_user: 4000 },
    ])
    expect(await rows(store, 'SELECT instance, read_queue FROM disk_points WHERE read_queue IS NOT NULL')).toEqual([
      { instance: 'sda', read_queue: '500' },
    ])
    expect(await rows(store, 'SELECT instance, used_bytes, utilization FROM filesystem_points LIMIT 1')).toEqual([
      { instance: '/', used_bytes: '70', utilization: 7370 },
    ])
    // What has no column stays under its own name.
    expect(
      await rows(
        store,
        "SELECT name, attributes['server'] AS server, value FROM series INNER JOIN series_points USING series_id WHERE name = 'mysql_threads' LIMIT 1",
      ),
    ).toEqual([{ name: 'mysql_threads', server: 'db1', value: 7 }])
    expect(ingest.latest.node('c1', 'n1')?.values[0]).toBeCloseTo(0.3)
    // uptime_format, twice.
    expect(ingest.counters().ignoredPoints).toBe(2)
  })
})

describe('cc-metric-collector', () => {
  it('fills columns where unit and meaning are certain', async () => {
    const { store } = doors
    const text = [
      `cpu_user,hostname=n2,type=hwthread,type-id=0,unit=Percent value=50 ${T}`,
      `cpu_user,hostname=n2,type=hwthread,type-id=1,unit=Percent value=100 ${T}`,
      `cpu_user,hostname=n2,type=node,unit=Percent value=150 ${T}`,
      `load_one,hostname=n2,type=node value=2 ${T}`,
      `mem_total,hostname=n2,type=node,unit=kB value=1000 ${T}`,
      `mem_available,hostname=n2,type=node,unit=kB value=400 ${T}`,
      `mem_free,hostname=n2,type=node value=17 ${T}`,
    ].join('\n')
    expect((await post(text, '/api/write?precision=s&cluster=fritz')).statusCode).toBe(204)
    expect(
      await rows(
        store,
        "SELECT cluster, cpu_user, load_1m, memory_total, memory_used, memory_free FROM node_points WHERE node = 'n2'",
      ),
    ).toEqual([
      {
        cluster: 'fritz',
        cpu_user: 7500,
        load_1m: '200',
        memory_total: '1024000',
        memory_used: '614400',
        memory_free: null,
      },
    ])
    expect(await rows(store, "SELECT name FROM series WHERE node = 'n2' ORDER BY name")).toEqual([
      { name: 'cpu_user' },
      { name: 'mem_free' },
    ])
  })
})

describe("InfluxData's own client", () => {
  it('writes through /api/v2/write with gzip', async () => {
    const { app, store } = doors
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const api = new InfluxDB({ url, token: 'any' }).getWriteApi('org', 'bucket', 'ms', {
      gzipThreshold: 1,
      maxRetries: 0,
    })
    api.writePoint(
      new Point('queue length')
        .tag('host', 'n3')
        .tag('queue', 'a,b = c')
        .floatField('now', 4.5)
        .timestamp(new Date(T * 1000)),
    )
    await api.close()
    expect(
      await rows(
        store,
        "SELECT name, node, attributes['queue'] AS queue, value FROM series INNER JOIN series_points USING series_id WHERE node = 'n3'",
      ),
    ).toEqual([{ name: 'queue length_now', node: 'n3', queue: 'a,b = c', value: 4.5 }])
  })
})

describe('lines that are wrong', () => {
  it('are told as InfluxDB tells it, and the others stored', async () => {
    const { app, store } = doors
    const answer = await post(`m,host=n1 v=1 ${T}\nm,host=n1 v=oops ${T}\nm,host=n1 v=2 5\nm,host v=1 ${T}`)
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid'])
    expect(answer.json().message).toBe(
      'partial write: 3 refused: line 2: oops is no value; m_v: the time of the point is older than what is kept; line 4: host is no tag',
    )
    expect(
      await rows(
        store,
        "SELECT count() AS n FROM series_points WHERE series_id IN (SELECT series_id FROM series WHERE name = 'm_v')",
      ),
    ).toEqual([{ n: '1' }])
    expect((await post('m v=1', '/write?precision=days')).json().message).toBe('precision days: send ns, us, ms or s')
    expect(
      (
        await app.inject({
          method: 'POST',
          url: '/write',
          payload: Buffer.from([0xff, 0x20, 0xfe]),
          headers: { 'content-type': 'text/plain' },
        })
      ).statusCode,
    ).toBe(400)
    expect((await app.inject({ url: '/ping' })).statusCode).toBe(204)
  })
})
