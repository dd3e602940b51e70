/**
 * What perf(1) prints of a frame -> Frame, and whether a stack reached a root.
 *
 *   solve+0x24 (/home/u/app)                         solve            app                  native
 *   [unknown] (/usr/lib/libfoo.so.1 (deleted))       libfoo.so.1+0x1f3                     native
 *   vfs_read ([kernel.kallsyms])                     vfs_read         [kernel.kallsyms]    kernel
 *   JS:*fib /app/fib.js:3:1 (/tmp/perf-77.map)       fib              [jit]   fib.js:3     javascript
 *   py::fib:/app/fib.py (/tmp/perf-77.map)           fib              fib.py  fib.py       python
 */
import type { Frame, FrameKind } from '../../ingest/records.ts'

/** A frame as it stands in the text. */
export interface PerfFrame {
  /** Hexadecimal, without 0x. */
  ip: string
  /** Without +0xoffset; '[unknown]' where perf knew no name. */
  symbol: string
  /** What stands in the last parentheses: a path, [kernel.kallsyms], [nfs], //anon, [unknown]; '' where it was not printed. */
  dso: string
}

const USER_MAPS = /^\[(vdso|vvar|vsyscall|heap|stack(:\d+)?|anon(:.*)?|unknown|uprobes)\]$/
const KERNEL_FILE = /^\[.*\]$|\.ko(\.\w+)?$|^bpf_(prog|trampoline)_|^\/proc\/kcore$|vmlinux(-[\w.-]+)?$/
const JIT_FILE = /(^|\/)(perf-\d+\.map|jitted-\d+-\d+\.so)$/
/** Upper half of the address space: kernel, on x86-64 and aarch64 alike. */
const KERNEL_IP = /^ffff[0-9a-f]{12}$/
/** Symbol versions of ELF: memcpy@@GLIBC_2.14, GOMP_parallel@@GOMP_4.0; not malloc@plt. */
const VERSION = /@@?(?!plt$)[A-Za-z][\w.]*$/

export function parsePerfFrame(frame: PerfFrame): Frame {
  const dso = frame.dso.replace(/ \(deleted\)$/, '')
  const kernel = KERNEL_IP.test(frame.ip) || (KERNEL_FILE.test(dso) && !USER_MAPS.test(dso))
  if (JIT_FILE.test(dso)) return parseJitFrame(frame.symbol)
  const module = moduleOf(dso, kernel)
  const kind: FrameKind = kernel ? 'kernel' : 'native'
  const named = frame.symbol !== '' && frame.symbol !== '[unknown]'
  const name = named ? frame.symbol.replace(VERSION, '') : namelessIn(module, frame.ip, kind)
  return { function: name, module, file: '', line: 0, kind }
}

function moduleOf(dso: string, kernel: boolean): string {
  if (kernel && (dso === '' || dso === '[unknown]' || dso === '[kernel]')) return '[kernel.kallsyms]'
  if (dso === '[unknown]' || dso === 'unknown') return ''
  if (dso.startsWith('//anon') || dso.startsWith('[anon')) return '[anon]'
  return dso.slice(dso.lastIndexOf('/') + 1)
}

/**
 * perf prints user addresses as offsets in the file since 4.x for most maps. An absolute one (0x55…, 0x7f…) differs at each
 * start of the program, and as a name it would make a new stack each time, so only the module is told.
 */
function namelessIn(module: string, ip: string, kind: FrameKind): string {
  if (kind === 'kernel') return '[kernel]'
  if (module === '') return '[unknown]'
  return ip.length > 10 || module.startsWith('[') ? `[${module.replace(/^\[|\]$/g, '')}]` : `${module}+0x${ip}`
}

/** V8: `LazyCompile:*fib /app/fib.js:3:1`, `JS:~fib file:///app/fib.js:3`, `Builtin:ArrayMap`. */
const V8 = /^(?:LazyCompile|Function|JS|Script|Eval|Callback|RegExp|Handler|Stub|BytecodeHandler|Builtin):[~*^+]?(.*)$/
const V8_PLACE = /^(.*?) ?((?:file:\/\/|node:|\/|\.\/)?[^\s:]+):(\d+)(?::\d+)?$/
const CPYTHON = /^py::(.*?):(.+)$/
/** perf-map-agent: `Lcom/x/Y;::run`; jcmd Compiler.perfmap: `void com.x.Y.run(int)`. */
const JAVA = /^L[\w/$]+;::|^[\w.$[\]]+ [\w.$]+\.[\w$<>]+\(/

function parseJitFrame(symbol: string): Frame {
  const python = CPYTHON.exec(symbol)
  if (python) {
    const file = python[2] ?? ''
    return {
      function: python[1] || '<module>',
      module: file.slice(file.lastIndexOf('/') + 1),
      file,
      line: 0,
      kind: 'python',
    }
  }
  const v8 = V8.exec(symbol)
  if (v8) {
    const place = V8_PLACE.exec(v8[1] ?? '')
    const name = place ? place[1] : v8[1]
    return {
      function: name || '(anonymous)',
      module: '[jit]',
      file: (place?.[2] ?? '').replace(/^file:\/\//, ''),
      line: Number(place?.[3] ?? 0),
      kind: 'javascript',
    }
  }
  const name = symbol === '' || symbol === '[unknown]' ? '[jit]' : symbol
  return { function: name, module: '[jit]', file: '', line: 0, kind: JAVA.test(symbol) ? 'java' : 'jit' }
}

/** Where a user stack begins: program start, thread start, loader, Go's and musl's own ones. */
const ROOT =
  /^(_start(_c)?|_?main|MAIN__|__libc_start_(main|call_main|init)\w*|libc_start_main_stage2|generic_start_main|(__)?clone3?|start_thread|thread_start|_dl_(start\w*|sysdep_start|init|fini|relocate_object)|dl_main|_init|_fini|runtime\.(goexit|mstart|rt0_go|mcall|systemstack|asmcgocall)[\w.]*)$/
/** Where a kernel thread or the idle task begins; and the kernel paths on which a process has no user part (any more, or yet). */
const KERNEL_ROOT =
  /^(ret_from_fork(_asm)?|kthread|cpu_startup_entry|start_(kernel|secondary)|secondary_startup_64\w*|rest_init)$/
const NO_USER_PART = /^(do_exit|begin_new_exec|load_elf_binary|exit_mmap|schedule_tail|exec_binprm)$/
/** perf_event_max_stack: a kernel callchain of this length may have been cut. */
const KERNEL_DEPTH = 127

/** False where the stack ends before any known beginning: the copied piece of stack was too short, or unwinding failed. */
export function reachesRoot(frames: readonly Frame[]): boolean {
  const last = frames.at(-1)
  if (!last) return false
  if (last.kind !== 'kernel') return frames.slice(-3).some(frame => ROOT.test(frame.function))
  return frames.length < KERNEL_DEPTH && frames.some(f => KERNEL_ROOT.test(f.function) || NO_USER_PART.test(f.function))
}
