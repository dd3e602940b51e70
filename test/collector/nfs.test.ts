import { describe, expect, it } from 'vitest'
import { PartError } from '../../collector/kernelfile.ts'
import { nfsCounters, openNfs, parseMountstats } from '../../collector/sources/nfs.ts'
import { makeMachine, opened, table } from './machine.ts'

type Operation = [name: string, ops: number, sent: number, executeMs: number]

/** A block of mountstats, as fs/nfs/super.c and net/sunrpc/stats.c of Linux 6.1 print it. */
const block = (path: string, bytes: readonly number[], operations: readonly Operation[], errors = ' 0') => `\
device nas1.lab:/export${path} mounted on ${path} with fstype nfs4 statvers=1.1
	opts:	rw,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,acregmin=3,acregmax=60,hard,proto=tcp,nconnect=2,timeo=600,retrans=2,sec=sys,local_lock=none
	age:	7968
	impl_id:	name='',domain='',date='0,0'
	caps:	caps=0x3ffbffff,wtmult=512,dtsize=1048576,bsize=0,namlen=255
	nfsv4:	bm0=0xfdffbfff,bm1=0x40f9be3e,bm2=0x60803,acl=0x3,sessions,pnfs=not configured,lease_time=90,lease_expired=0
	sec:	flavor=1,pseudoflavor=1
	events:	2 170 0 0 0 4 32 0 0 4 0 6 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
	bytes:	${bytes.join(' ')}
	RPC iostats version: 1.1  p/v: 100003/4 (nfs)
	xprt:	tcp 832 0 1 0 0 41 41 0 41 0 2 0 0
	xprt:	tcp 834 0 1 0 0 40 40 0 40 0 2 0 0
	per-op statistics
	        NULL: 1 3 0 44 24 0 0 900${errors}
${operations.map(([name, ops, sent, ms]) => `	${name.padStart(12)}: ${ops} ${sent} 0 1234 5678 7 ${Math.max(0, ms - 1)} ${ms}${errors}`).join('\n')}
`
const OTHERS = `device /dev/vda mounted on / with fstype ext4
device proc mounted on /proc with fstype proc
`
const mountinfo = (...paths: string[]) =>
  paths
    .map((path, i) => `${i + 50} 1 0:${i + 50} / ${path.replaceAll(' ', '\\040')} rw - nfs4 nas1:/export${path} rw`)
    .concat('20 1 8:1 / / rw - ext4 /dev/vda rw')
    .join('\n')

describe('/proc/self/mountstats', () => {
  it('gives what programs and servers moved, operations by kind, what was sent again, and how long was waited', () => {
    const machine = makeMachine({
      'proc/1/mountinfo': mountinfo('/home'),
      'proc/1/mountstats': OTHERS + block('/home', [1000, 2000, 0, 0, 500, 700, 1, 2], [['READ', 10, 10, 100]]),
    })
    const nfs = opened(openNfs(machine.options))
    expect(nfs.read(machine.tick())).toEqual([])
    machine.write(
      'proc/1/mountstats',
      OTHERS +
        block(
          '/home',
          [5000, 2400, 4000, 600, 900, 1700, 9, 9],
          [
            ['READ', 30, 31, 4100],
            ['READ_PLUS', 10, 10, 0],
            ['WRITE', 20, 20, 2000],
            ['GETATTR', 100, 105, 1000],
            ['LOOKUP', 60, 60, 1000],
          ],
        ),
    )
    // operations that were not there before were 0
    expect(table(nfs.read(machine.tick(2000)))).toEqual({
      'filesystem /home read_bytes': (5000 + 4000 - 1000) / 2,
      'filesystem /home write_bytes': (2400 + 600 - 2000) / 2,
      'filesystem /home server_read_bytes': 200,
      'filesystem /home server_write_bytes': 500,
      'filesystem /home read_operations': 15,
      'filesystem /home write_operations': 10,
      'filesystem /home metadata_operations': 80,
      'filesystem /home queue': 4, // 8000 ms of waiting in 2 s
      'filesystem /home retransmissions': 3,
    })
  })

  it('reads kernels without errors a operation, NFSv3, and blanks in names', () => {
    const old = block('/with blank', [1, 2, 3, 4, 5, 6, 7, 8], [['READ', 1, 1, 5]], '')
      .replaceAll('/with blank', '/with\\040blank')
      .replace('fstype nfs4', 'fstype nfs')
    const [mount] = parseMountstats(OTHERS + old)
    expect(mount?.path).toBe('/with blank')
    expect(mount?.operations.get('READ')).toEqual([1, 1, 0, 1234, 5678, 7, 4, 5])
    expect(mount && nfsCounters(mount)?.get('read_bytes')).toBe(4)
  })

  it('tells of a file system once, however often it is mounted', () => {
    const at = (n: number) =>
      ['/home/amara', '/home/bo'].map(p => block(p, [n, 0, 0, 0, 0, 0, 0, 0], [['READ', n, n, n]])).join('')
    const machine = makeMachine({
      'proc/1/mountinfo': mountinfo('/home/amara').concat('\n90 1 0:50 /bo /home/bo rw - nfs4 nas1:/home rw'),
      'proc/1/mountstats': at(0),
    })
    const nfs = opened(openNfs(machine.options))
    nfs.read(machine.tick())
    machine.write('proc/1/mountstats', at(1000))
    expect(Object.keys(table(nfs.read(machine.tick()))).filter(key => key.endsWith(' read_bytes'))).toEqual([
      'filesystem /home/amara read_bytes',
    ])
  })

  it('leaves out a mount whose text is cut, says so, and goes on with the others', () => {
    const machine = makeMachine({ 'proc/1/mountinfo': mountinfo('/home', '/work'), 'proc/1/mountstats': OTHERS })
    const nfs = opened(openNfs(machine.options))
    const write = (n: number, work: string) =>
      machine.write('proc/1/mountstats', block('/home', [n, 0, 0, 0, 0, 0, 0, 0], [['READ', n, n, n]]) + work)
    write(0, block('/work', [0, 0, 0, 0, 0, 0, 0, 0], [['READ', 0, 0, 0]]))
    nfs.read(machine.tick())
    for (const cut of ['events:', 'bytes:', 'NULL: 1 3']) {
      const text = block('/work', [9, 0, 0, 0, 0, 0, 0, 0], [['READ', 9, 9, 9]])
      write(100, text.slice(0, text.indexOf(cut) + 9))
      const told = (() => {
        try {
          return nfs.read(machine.tick())
        } catch (error) {
          if (error instanceof PartError) return error
          throw error
        }
      })()
      expect(told).toMatchObject({ message: 'mountstats of /work is not whole' })
    }
  })

  it('reads nothing where no NFS is mounted, and says so', () => {
    const machine = makeMachine({ 'proc/1/mountinfo': mountinfo(), 'proc/1/mountstats': OTHERS })
    const nfs = opened(openNfs(machine.options))
    expect(nfs.read(machine.tick())).toEqual([])
    expect(nfs.detail?.()).toBe('no NFS is mounted')
  })

  it('is absent where the kernel has no mountstats', () => {
    expect(openNfs(makeMachine({ 'proc/1/mountinfo': mountinfo() }).options)).toEqual({
      absent: 'no /proc/1/mountstats',
    })
  })
})
