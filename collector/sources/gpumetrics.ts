/**
 * gpu_metrics of amdgpu: a table that the card's firmware fills, in the layout that its header names. What hwmon and the plain
 * files beside it do not tell: energy, what slowed the card down, bytes over its links to other cards (XGMI).
 * https://docs.kernel.org/gpu/amdgpu/thermal.html#gpu-metrics  drivers/gpu/drm/amd/include/kgd_pp_interface.h
 *
 *   0   u16 size   u8 format   u8 content          format 1: a card of its own; 2 and 3 are parts of a CPU
 *   v1.1 - v1.3    68 u32 throttle_status          v1.3: 112 u64 throttle_status in words of all cards
 *   v1.4           24 u64 energy   40 u32 throttle_status   104 u64 read[8]   168 u64 written[8]
 *   v1.5           88             104                       176              240
 *
 * Energy is in 2^-16 J and links in KiB since v1.4; before, the unit of energy is that of each card. All bits set: not there.
 */
export interface GpuMetrics {
  /** 0 or 1: heat or power slow it down at this moment. */
  throttled: number | undefined
  /** Since the card was reset. */
  joules: number | undefined
  linkReadBytes: number | undefined
  linkWrittenBytes: number | undefined
}

const LINKS = 8
const WORD = 0xffff_ffff
const LONG = 0xffff_ffff_ffff_ffffn

interface Layout {
  throttle: number
  energy: number
  read: number
  written: number
  size: number
}
const LAYOUTS: Readonly<Record<number, Layout>> = {
  4: { throttle: 40, energy: 24, read: 104, written: 168, size: 232 },
  5: { throttle: 104, energy: 88, read: 176, written: 240, size: 304 },
}

/** Undefined for a layout that is not known, and for what is cut short. */
export function parseGpuMetrics(bytes: Buffer): GpuMetrics | undefined {
  if (bytes.length < 4 || bytes.readUInt8(2) !== 1 || bytes.readUInt16LE(0) > bytes.length) return undefined
  const content = bytes.readUInt8(3)
  const layout = LAYOUTS[content]
  if (layout) return bytes.length < layout.size ? undefined : parseNew(bytes, layout)
  if (content < 1 || content > 3 || bytes.length < (content === 3 ? 120 : 72)) return undefined
  const status = content === 3 ? longAt(bytes, 112) : wordAt(bytes, 68)
  const throttled = status === undefined ? undefined : Number(status > 0)
  return { throttled, joules: undefined, linkReadBytes: undefined, linkWrittenBytes: undefined }
}

function parseNew(bytes: Buffer, { throttle, energy, read, written }: Layout): GpuMetrics {
  const status = wordAt(bytes, throttle)
  const counted = longAt(bytes, energy)
  return {
    throttled: status === undefined ? undefined : Number(status > 0),
    joules: counted === undefined ? undefined : counted / 65_536,
    linkReadBytes: kibibytesAt(bytes, read),
    linkWrittenBytes: kibibytesAt(bytes, written),
  }
}

function wordAt(bytes: Buffer, at: number): number | undefined {
  const word = bytes.readUInt32LE(at)
  return word === WORD ? undefined : word
}

function longAt(bytes: Buffer, at: number): number | undefined {
  const long = bytes.readBigUInt64LE(at)
  return long === LONG ? undefined : Number(long)
}

/** All links together; undefined where there is none. */
function kibibytesAt(bytes: Buffer, at: number): number | undefined {
  const links = Array.from({ length: LINKS }, (_, link) => longAt(bytes, at + 8 * link)).filter(l => l !== undefined)
  return links.length === 0 ? undefined : links.reduce((sum, link) => sum + link, 0) * 1024
}
