/** Which small multiples are shown: the usual ones on and off, and any other metric of the catalogue. */
import type { Catalogue } from '../../query/api.ts'
import { metricName } from '../metrics.ts'
import { go, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { ALL_PANELS, chosenPanels, NODE_PANELS } from './nodepanels.ts'
import { Popover } from './popover.tsx'
import type { Page } from './scope.ts'

export function PanelChoice({ page, catalogue }: { page: Page; catalogue: Catalogue | undefined }) {
  const { ids, extra } = chosenPanels(page.place.query.panels)
  const shownAlready = NODE_PANELS.flatMap(p => p.parts.map(part => part.metric))
  const others = (catalogue?.metrics ?? []).filter(m => m.entity === 'node' && !shownAlready.includes(m.column))
  const set = (chosen: readonly string[]) => {
    const all = chosen.length === ALL_PANELS.length && ALL_PANELS.every(id => chosen.includes(id))
    go(placeWith(page.place, { panels: all || chosen.length === 0 ? undefined : chosen.join(',') }), 'replace')
  }
  const toggle = (id: string) => {
    const now = [...ALL_PANELS.filter(p => ids.has(p)), ...extra]
    set(now.includes(id) ? now.filter(p => p !== id) : [...now, id])
  }
  const box = (id: string, name: string, title?: string) => (
    <label key={id} class="option" title={title}>
      <span>{name}</span>
      <input type="checkbox" checked={ids.has(id)} onChange={() => toggle(id)} style={{ width: 'auto', margin: 0 }} />
    </label>
  )
  return (
    <Popover class="button plain" label={t('node.panels')} face={<>{t('node.panels')} ▾</>}>
      {() => (
        <>
          {NODE_PANELS.map(p => box(p.id, t(p.title)))}
          {box('cores', t('panel.cores'))}
          <p class="title">{t('metric.more')}</p>
          {others.map(m => box(m.column, metricName(m.column), m.meaning))}
        </>
      )}
    </Popover>
  )
}
