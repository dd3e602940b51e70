/** At the end of a run, what of each file was left out, and why: vitest's own reporter tells no reason of a file that passed. */
import type { Reporter, TestModule } from 'vitest/node'

export default class LeftOut implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = modules.flatMap(module => {
      const skipped = [...module.children.allTests('skipped')]
      const reasons = new Set(skipped.flatMap(test => (test.result() as { note?: string }).note ?? []))
      // Without a reason it was not asked for (-t).
      return reasons.size === 0 ? [] : [`  ${module.relativeModuleId}: ${skipped.length}, ${[...reasons].join('; ')}`]
    })
    if (lines.length > 0) process.stdout.write(`Left out:\n${lines.sort().join('\n')}\n\n`)
  }
}
