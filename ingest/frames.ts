/** Locations of a profiles dictionary -> frames: names where there are some, module+0xoffset where there are none. */
import type { Dictionary, Location, Mapping } from './otlp/dictionary.ts'
import type { FrameKind } from './records.ts'
import type { StackBook } from './stackbook.ts'

/** profile.frame.type: https://opentelemetry.io/docs/specs/semconv/registry/attributes/profile/ */
const KINDS: Readonly<Record<string, FrameKind>> = {
  native: 'native',
  go: 'native',
  rust: 'native',
  kernel: 'kernel',
  cpython: 'python',
  v8js: 'javascript',
  jvm: 'java',
  jit: 'jit',
  truncated: 'truncated',
}

/** Finds the frames of stacks of one dictionary; each location and stack is looked at once. */
export class StackFrames {
  readonly #dictionary: Dictionary
  readonly #book: StackBook
  readonly #locations: (readonly number[] | undefined)[] = []
  readonly #stacks: (readonly number[] | undefined)[] = []

  constructor(dictionary: Dictionary, book: StackBook) {
    this.#dictionary = dictionary
    this.#book = book
  }

  /** Frame numbers, leaf first; undefined for an index that points nowhere. */
  of(stack: number): readonly number[] | undefined {
    const known = this.#stacks[stack]
    if (known !== undefined) return known
    const locations = this.#dictionary.stacks[stack]
    if (locations === undefined) return undefined
    const frames: number[] = []
    for (const location of locations) {
      const found = this.#framesOf(location)
      if (found === undefined) return undefined
      for (const frame of found) frames.push(frame)
    }
    this.#stacks[stack] = frames
    return frames
  }

  #framesOf(index: number): readonly number[] | undefined {
    const known = this.#locations[index]
    if (known !== undefined) return known
    const location = this.#dictionary.locations[index]
    if (location === undefined) return undefined
    const frames = this.#parse(location)
    this.#locations[index] = frames
    return frames
  }

  /** Lines of inlined functions come before the one they were inlined into, as frames leaf first do. */
  #parse(location: Location): readonly number[] {
    const { strings, functions, mappings } = this.#dictionary
    const mapping = location.mapping > 0 ? mappings[location.mapping] : undefined
    const module = baseName(strings[mapping?.file ?? 0] ?? '')
    const kind = this.#kindOf(location, module)
    const named: number[] = []
    for (const { function: index, line } of location.lines) {
      const fn = functions[index]
      const name = strings[fn?.name ?? 0] || strings[fn?.systemName ?? 0] || ''
      const file = strings[fn?.file ?? 0] ?? ''
      if (name !== '') named.push(this.#book.frameNumber(name, module, file, lineNumber(line), kind))
    }
    if (named.length > 0) return named
    return [this.#book.frameNumber(unnamed(location, mapping, module), module, '', 0, kind)]
  }

  #kindOf(location: Location, module: string): FrameKind {
    for (const index of location.attributes) {
      const attribute = this.#dictionary.attributes[index]
      if (attribute?.key === 'profile.frame.type') return KINDS[attribute.value] ?? 'other'
    }
    return module.startsWith('[kernel') ? 'kernel' : 'native'
  }
}

/** A mapped address becomes an offset into its file; what lies outside its mapping is one already. */
function unnamed(location: Location, mapping: Mapping | undefined, module: string): string {
  let offset = location.address
  if (mapping !== undefined && offset >= mapping.memoryStart && offset < mapping.memoryLimit) {
    offset = offset - mapping.memoryStart + mapping.fileOffset
  }
  return `${module === '' ? '[unknown]' : module}+0x${offset.toString(16)}`
}

const lineNumber = (line: number): number => (line > 0 && line <= 0xffff_ffff ? Math.round(line) : 0)

/** /usr/lib/libm.so.6 (deleted) -> libm.so.6; [kernel.kallsyms] and [vdso] stay. */
const baseName = (path: string): string => {
  const clean = path.replace(/ \(deleted\)$/, '')
  return clean.startsWith('[') ? clean : clean.slice(clean.lastIndexOf('/') + 1)
}
