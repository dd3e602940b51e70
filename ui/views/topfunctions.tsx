/** The hottest functions of the cluster in the window: the fourth level at first sight. */
import type { Functions } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { moduleColour } from '../colour.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import { useTheme } from '../prefs.ts'
import { formatPlace, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { Panel, type Sheet } from './panel.tsx'
import { type Page, scopeOf } from './scope.ts'
import { Shown } from './states.tsx'

const SHOWN = 9

type FunctionRow = Functions['functions'][number]

const sheetOf = (functions: readonly FunctionRow[]): Sheet => ({
  columns: ['function', 'module', 'self (CPU s)', 'total (CPU s)', 'samples'],
  rows: functions.map(f => [f.function, f.module, f.self, f.total, f.samples]),
})

export function TopFunctions({ page }: { page: Page }) {
  useTheme()
  const answer = useAnswer(page.calm && ask.functions(scopeOf(page, page.calm), 'self', '', SHOWN), page.cluster)
  const found = answer.data
  if (found && found.functions.length === 0) return null
  return (
    <Panel
      title={t('stacks.top')}
      name={`${page.cluster}-functions`}
      answers={[answer]}
      note={found && <span class="dim">{formatSeconds(found.seconds)} CPU</span>}
      sheet={found && (() => sheetOf(found.functions))}
    >
      <Shown answer={answer}>
        {({ functions }) => (
          <table class="table">
            <tbody>
              {functions.map(f => (
                <FunctionLine key={`${f.function}@${f.module}`} page={page} row={f} />
              ))}
            </tbody>
          </table>
        )}
      </Shown>
    </Panel>
  )
}

function FunctionLine({ page, row }: { page: Page; row: FunctionRow }) {
  const href = formatPlace(placeWith(page.place, { stacks: 'sandwich', fn: row.function }))
  return (
    <tr>
      <td>
        <a class="cut" title={row.function} href={href}>
          <i class="dot" style={{ background: moduleColour(row.module, row.kind) }} /> {row.function}{' '}
          <span class="dim">{row.module}</span>
        </a>
      </td>
      <td style={{ width: '90px', maxWidth: 'none' }}>
        <div class="meter tall">
          <i style={{ width: `${row.selfShare * 100}%` }} />
        </div>
      </td>
      <td class="num">{formatRatio(row.selfShare)}</td>
    </tr>
  )
}
