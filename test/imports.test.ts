import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

/**
 * The arrows of the house: who may import whom. main.ts may import anything; nobody imports main.ts.
 *
 *   native <- collector -> ingest/records, ingest/metrics          ui -> query/api (types only)
 *                          ingest <- query
 */
const MAY_IMPORT: Record<string, (target: string, typeOnly: boolean) => boolean> = {
  ingest: target => target.startsWith('ingest/'),
  collector: target =>
    target.startsWith('collector/') ||
    target.startsWith('native/') ||
    target === 'ingest/records.ts' ||
    target === 'ingest/metrics.ts',
  query: target => target.startsWith('query/') || target.startsWith('ingest/'),
  ui: (target, typeOnly) => target.startsWith('ui/') || (target === 'query/api.ts' && typeOnly),
  native: target => target.startsWith('native/'),
}

const IMPORT =
  /^\s*(?:import|export)\s+(type\s)?[^'"]*?from\s+'(\.[^']+)'|import\(\s*'(\.[^']+)'\s*\)|^\s*import\s+'(\.[^']+)'/gm

function importsOf(file: string): { target: string; typeOnly: boolean }[] {
  return [...readFileSync(file, 'utf8').matchAll(IMPORT)].map(m => ({
    target: normalize(join(dirname(file), m[2] ?? m[3] ?? m[4] ?? '')),
    typeOnly: m[1] !== undefined,
  }))
}

function sourcesOf(part: string): string[] {
  return readdirSync(part, { recursive: true, withFileTypes: true })
    .filter(e => e.isFile() && /\.(ts|tsx|mjs)$/.test(e.name) && !`${e.parentPath}/`.includes('/node_modules/'))
    .map(e => normalize(join(e.parentPath, e.name)))
}

describe('imports point one way', () => {
  for (const [part, allowed] of Object.entries(MAY_IMPORT)) {
    it(part, () => {
      const files = sourcesOf(part)
      expect(files.length).toBeGreaterThan(0)
      const wrong = files.flatMap(file =>
        importsOf(file)
          .filter(i => !allowed(i.target, i.typeOnly))
          .map(i => `${file} -> ${i.target}`),
      )
      expect(wrong).toEqual([])
    })
  }

  it('finds an arrow that points the wrong way', () => {
    expect(MAY_IMPORT.ui?.('query/api.ts', false)).toBe(false)
    expect(MAY_IMPORT.ingest?.('query/sql.ts', true)).toBe(false)
    expect(importsOf('query/api.ts').map(i => i.target)).toContain('ingest/records.ts')
  })
})
