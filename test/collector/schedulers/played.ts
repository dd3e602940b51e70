/** Commands of a scheduler that print what a test gives them. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class PlayedCommands {
  readonly directory = mkdtempSync(join(tmpdir(), 'played-'))
  readonly env = { PATH: `${this.directory}:/usr/bin:/bin` }

  /** A shell script; `$*` are the arguments. */
  script(name: string, script: string): void {
    const path = join(this.directory, name)
    writeFileSync(path, `#!/bin/sh\n${script}\n`)
    chmodSync(path, 0o755)
  }

  /** For each pattern of arguments, the file whose text is printed; anything else ends with 2. */
  prints(name: string, byArguments: Record<string, string | URL>): void {
    const cases = Object.entries(byArguments).map(([pattern, file]) => {
      const path = typeof file === 'string' ? this.file(`${name}-${pattern.replace(/\W+/g, '_')}`, file) : file.pathname
      return `"${pattern}") cat '${path}';;`
    })
    this.script(name, `case "$*" in ${cases.join('\n')} *) echo "unknown option: $*" >&2; exit 2;; esac`)
  }

  file(path: string, text: string | Buffer): string {
    const to = join(this.directory, 'files', path)
    mkdirSync(join(to, '..'), { recursive: true })
    writeFileSync(to, text)
    return to
  }

  close(): void {
    rmSync(this.directory, { recursive: true })
  }
}
