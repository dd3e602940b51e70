import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Type } from 'typebox'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readSettings, type Said } from '../../ingest/settings.ts'

const Schema = Type.Object(
  {
    listen: Type.String({ default: 'here:1', pattern: ':\\d+$', description: 'where it listens' }),
    endpoint: Type.Optional(Type.String()),
    collector: Type.Object(
      {
        intervalMs: Type.Integer({ default: 10_000, minimum: 1000, description: 'tick' }),
        stacks: Type.Object({ hz: Type.Integer({ default: 19 }) }, { additionalProperties: false, default: {} }),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
)

const read = (said: Partial<Said> = {}) =>
  readSettings(Schema, { otherwise: {}, file: undefined, environment: {}, assignments: [], ...said })

function file(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'jobsight-settings-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'a.yaml'), text)
  return join(folder, 'a.yaml')
}

describe('settings', () => {
  it('that nothing says are those of the schema', async () => {
    expect(await read()).toEqual({ listen: 'here:1', collector: { intervalMs: 10_000, stacks: { hz: 19 } } })
  })

  it('are said by the file, over it by the environment, over that by the command line', async () => {
    const yaml = file('listen: file:1\ncollector:\n  intervalMs: 2000\n  stacks: { hz: 49 }\n')
    const environment = { JOBSIGHT_COLLECTOR_INTERVAL_MS: '3000', JOBSIGHT_COLLECTOR_STACKS_HZ: '97' }
    const said = { file: yaml, environment, assignments: ['collector.stacks.hz=1', 'collector.stacks.hz=199'] }
    expect(await read(said)).toEqual({ listen: 'file:1', collector: { intervalMs: 3000, stacks: { hz: 199 } } })
  })

  it('fall back on what others are told, below all of these', async () => {
    const otherwise = { endpoint: 'otel' }
    expect((await read({ otherwise })).endpoint).toBe('otel')
    expect((await read({ otherwise, file: file('endpoint: own') })).endpoint).toBe('own')
  })

  it.each([
    [{ assignments: ['collector.nope=1'] }, 'configuration: there is no key collector.nope'],
    [
      { environment: { JOBSIGHT_COLLECTOR_INTERVAL_MS: '5' } },
      'configuration: collector.intervalMs must be >= 1000 (tick; default 10000)',
    ],
    [
      { assignments: ['listen=x'] },
      'configuration: listen must match pattern ":\\d+$" (where it listens; default here:1)',
    ],
    [{ assignments: ['x'] }, '--set x: expected KEY=VALUE'],
    [{ file: '/nowhere.yaml' }, 'cannot read the configuration /nowhere.yaml: ENOENT'],
  ])('%j is refused with the key and what it means', async (said, message) => {
    await expect(read(said)).rejects.toThrow(message)
  })

  it('in a file that is no mapping, or no YAML, are refused by the name of the file', async () => {
    await expect(read({ file: file('- a') })).rejects.toThrow(/a\.yaml: expected a mapping/)
    await expect(read({ file: file('a: [') })).rejects.toThrow(/cannot read the configuration .*a\.yaml/)
  })
})
