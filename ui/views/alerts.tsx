/** Alerts: what fires now, what fired, the rules, and who is (not) told. */
import type { Alert } from '../../query/api.ts'
import { ask, useAnswer } from '../client.ts'
import { formatTime } from '../format.ts'
import { formatPlace, placeWith } from '../state.ts'
import { type Key, t } from '../words.ts'
import { Messages, Silences } from './alertquiet.tsx'
import { AlertTable, alertSheet } from './alerttable.tsx'
import { useHeardAlerts } from './live.ts'
import { Panel } from './panel.tsx'
import { RuleList } from './rules.tsx'
import { type Page, scopeOf } from './scope.ts'
import { Empty, Shown } from './states.tsx'

const WAYS: readonly [string, Key][] = [
  ['', 'alerts.now'],
  ['past', 'alerts.past'],
  ['rules', 'alerts.rules'],
  ['quiet', 'alerts.quiet'],
]

export function AlertsView({ page }: { page: Page }) {
  const way = page.place.query.way ?? ''
  return (
    <div class="column">
      <nav class="choices" aria-label={t('alerts.ways')}>
        {WAYS.map(([id, word]) => (
          <a
            key={id}
            class="button"
            href={formatPlace(placeWith(page.place, { way: id, rule: undefined }))}
            aria-current={way === id ? 'page' : undefined}
          >
            {t(word)}
          </a>
        ))}
      </nav>
      {way === 'past' ? (
        <Past page={page} />
      ) : way === 'rules' ? (
        <RuleList page={page} />
      ) : way === 'quiet' ? (
        <>
          <Silences page={page} />
          <Messages page={page} />
        </>
      ) : (
        <Now page={page} />
      )}
    </div>
  )
}

function Now({ page }: { page: Page }) {
  // Values move with time; what begins or ends is told.
  const answer = useAnswer(ask.alerts(page.cluster), page.cluster, page.now + (useHeardAlerts(page.cluster)?.tick ?? 0))
  const rules = useAnswer(ask.alertRules())
  const alerts: readonly Alert[] = answer.data?.alerts ?? []
  return (
    <Panel title={t('alerts.now')} name={`${page.cluster}-alerts`} answers={[answer]} sheet={() => alertSheet(alerts)}>
      <Shown answer={answer}>
        {data =>
          data.alerts.length > 0 ? (
            <AlertTable page={page} alerts={data.alerts} again={answer.again} />
          ) : (
            <Empty title={t('alerts.none')}>
              <p>
                {!data.evaluates
                  ? t('alerts.off')
                  : data.evaluated === null
                    ? t('alerts.notYet')
                    : t('alerts.noneWhy', {
                        count: rules.data?.rules.filter(r => r.rule.enabled !== false).length ?? '',
                        time: formatTime(data.evaluated),
                      })}
              </p>
            </Empty>
          )
        }
      </Shown>
    </Panel>
  )
}

const SHOWN = 500

function Past({ page }: { page: Page }) {
  const answer = useAnswer(page.span && ask.alertHistory(scopeOf(page, page.span), SHOWN), page.cluster, page.tick)
  const alerts: readonly Alert[] = answer.data?.alerts ?? []
  return (
    <Panel
      title={t('alerts.past')}
      name={`${page.cluster}-alerts-past`}
      answers={[answer]}
      note={answer.data && <span class="dim">{t('alerts.total', { count: answer.data.total })}</span>}
      sheet={() => alertSheet(alerts)}
    >
      <Shown answer={answer}>
        {data =>
          data.alerts.length > 0 ? (
            <AlertTable page={page} alerts={data.alerts} />
          ) : (
            <Empty title={t('alerts.nonePast')} />
          )
        }
      </Shown>
    </Panel>
  )
}
