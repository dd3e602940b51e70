/**
 * /proc/PID/mountinfo: which file systems are mounted where. https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo
 *
 *   36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 *         |    |     |     |          |          |    |         options of the file system
 *         |    |     |     |          |          |    source
 *         |    |     |     |          |          type
 *         |    |     |     |          any number of optional fields
 *         |    |     mount point, with \040 for a blank
 *         |    what of the file system is mounted: / is all of it
 *         device: the same for every mount of one file system
 */
import { SourceError } from './kernelfile.ts'
import type { Roots, SourceOptions, Tick } from './source.ts'

export interface Mount {
  device: string
  root: string
  path: string
  type: string
  source: string
  readOnly: boolean
}

/** mountinfo and mountstats write a blank as \\040. */
export const unescaped = (word: string) =>
  word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

export function parseMountinfo(text: string): Mount[] {
  const mounts: Mount[] = []
  for (const line of text.split('\n')) {
    const words = line.split(' ')
    const dash = words.indexOf('-', 6)
    const [, , device, root, path, options] = words
    const [type, source, superOptions] = dash < 0 ? [] : words.slice(dash + 1)
    if (device === undefined || root === undefined || path === undefined || options === undefined) continue
    if (type === undefined || source === undefined) continue
    mounts.push({
      device,
      root: unescaped(root),
      path: unescaped(path),
      type,
      source: unescaped(source),
      readOnly: /(^|,)ro(,|$)/.test(options) || /(^|,)ro(,|$)/.test(superOptions ?? ''),
    })
  }
  if (mounts.length === 0) throw new SourceError('mountinfo has no mount')
  return mounts
}

/** In a container our own mounts are the container's; process 1 of the host's /proc has the host's. */
export const mountinfoPath = (roots: Roots) => (roots.proc === '/proc' ? 'proc/self/mountinfo' : 'proc/1/mountinfo')
/** Where the host's file of that path is to be found. */
export const hostPath = (roots: Roots, path: string) => (roots.proc === '/proc' ? path : `${roots.proc}/1/root${path}`)

const LOCAL = /^(ext[234]|xfs|btrfs|zfs|f2fs|jfs|reiserfs|bcachefs|nilfs2|vfat|exfat|ntfs3?|fuseblk|overlay|tmpfs)$/
/** On servers, so a question to them can hang. */
const NETWORK =
  /^(nfs4?|lustre|gpfs|beegfs|ceph|cifs|smb3|glusterfs|pvfs2|orangefs|wekafs|panfs|afs|dvs|9p|virtiofs|daos|quobyte|fuse\.(ceph-fuse|ceph|glusterfs|juicefs|beegfs|mfs|lizardfs|quobyte|dfuse|daos))$/
/** What the system and its containers mount for themselves: it fills nobody's disk, or the disk of a mount that is shown. */
const OWN =
  /^\/(proc|sys|run|dev(?!\/shm$)|snap|var\/lib\/(docker|containerd|containers|kubelet|lxc|lxd)|boot\/efi)(\/|$)/

export type MountKind = 'local' | 'network'

export interface Shown {
  mount: Mount
  kind: MountKind
}

export function kindOf({ type, path, readOnly }: Mount): MountKind | undefined {
  if (OWN.test(path)) return undefined
  if (NETWORK.test(type)) return 'network'
  // a read-only tmpfs or overlay is an image, as full as it was made
  return LOCAL.test(type) && !(readOnly && /^(tmpfs|overlay)$/.test(type)) ? 'local' : undefined
}

/** A file system that is mounted several times is shown once: where all of it is mounted, on the shortest path. */
export function chooseMounts(mounts: readonly Mount[], most: number): Shown[] {
  const byDevice = new Map<string, Shown>()
  for (const mount of mounts) {
    const kind = kindOf(mount)
    if (!kind) continue
    const known = byDevice.get(mount.device)
    if (!known || rank(mount) < rank(known.mount)) byDevice.set(mount.device, { mount, kind })
  }
  // what is mounted over another hides it
  const byPath = new Map([...byDevice.values()].map(one => [one.mount.path, one]))
  return [...byPath.values()].sort((a, b) => a.mount.path.length - b.mount.path.length).slice(0, most)
}

const rank = ({ root, path }: Mount) => (root === '/' ? 0 : 10_000) + path.length

const MOUNTS_EVERY_MS = 60_000
const MOST_MOUNTS = 64

export interface Mounts {
  /** Those that are shown; looked at again once a minute. */
  read(tick: Tick): readonly Shown[]
}

/** Undefined where the kernel does not tell. */
export function openMounts({ files, roots }: Pick<SourceOptions, 'files' | 'roots'>): Mounts | undefined {
  const file = files.find(mountinfoPath(roots))
  if (!file) return undefined
  let mounts: readonly Shown[] = []
  let readMs = Number.NEGATIVE_INFINITY
  return {
    read(tick) {
      if (tick.monotonicMs - readMs < MOUNTS_EVERY_MS) return mounts
      mounts = chooseMounts(parseMountinfo(file.read(tick)), MOST_MOUNTS)
      readMs = tick.monotonicMs
      return mounts
    },
  }
}
