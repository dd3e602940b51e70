/** The hottest functions of the cluster in the window: the fourth level at first sight. */
import { ask, useAnswer } from '../client.ts'
import { moduleColour } from '../colour.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import { useTheme } from '../prefs.ts'
import { formatPlace, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { Panel } from './panel.tsx'
import { type Page, scopeOf } from './scope.ts'
import { Shown } from './states.tsx'

const SHOWN = 7

export function TopFunctions({ page }: { page: Page }) {
  useTheme()
  const answer = useAnswer(page.focus && ask.functions(scopeOf(page, page.focus), 'self', '', SHOWN), page.cluster)
  const found = answer.data
  if (found && found.functions.length === 0) return null
  return (
    <Panel
      title={t('stacks.top')}
      name={`${page.cluster}-functions`}
      answers={[answer]}
      note={found && <span class="dim">{formatSeconds(found.seconds)} CPU</span>}
      sheet={
        found &&
        (() => ({
          columns: ['function', 'module', 'self (CPU s)', 'total (CPU s)', 'samples'],
          rows: found.functions.map(f => [f.function, f.module, f.self, f.total, f.samples]),
        }))
      }
    >
      <Shown answer={answer}>
        {({ functions }) => (
          <table class="table">
            <tbody>
              {functions.map(f => (
                <tr key={`${f.function}@${f.module}`}>
                  <td>
                    <a
                      class="cut"
                      title={f.function}
                      href={formatPlace(placeWith(page.place, { stacks: 'sandwich', fn: f.function }))}
                    >
                      <i class="dot" style={{ background: moduleColour(f.module, f.kind) }} /> {f.function}{' '}
                      <span class="dim">{f.module}</span>
                    </a>
                  </td>
                  <td style={{ width: '90px', maxWidth: 'none' }}>
                    <div class="meter tall">
                      <i style={{ width: `${f.selfShare * 100}%` }} />
                    </div>
                  </td>
                  <td class="num">{formatRatio(f.selfShare)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Shown>
    </Panel>
  )
}
