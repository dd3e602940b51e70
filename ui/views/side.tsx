/** What is known of one box, and what can be done with it. */
import { useMemo } from 'preact/hooks'
import { formatRatio, formatSeconds, formatWhole } from '../format.ts'
import type { Boxes } from '../layout/flame.ts'
import { fullName, selfSamples, type Transform } from '../layout/transform.ts'
import { functionName, kindName, moduleName, samplesOf, selfOf, shareError, totalOf } from '../layout/tree.ts'
import { t } from '../words.ts'

interface Props {
  boxes: Boxes
  box: number
  zoom: number
  transform: (how: Transform) => void
  sandwich: (fn: string) => void
  zoomTo: (box: number) => void
}

export function Side(props: Props) {
  const { boxes, box } = props
  const { tree } = boxes
  if (box <= 0) return <aside class="side dim">{t('side.choose')}</aside>
  const share = totalOf(tree, box) / totalOf(tree, 0)
  const error = shareError(share, samplesOf(tree, 0))
  return (
    <aside class="side" aria-label={t('side.label')}>
      <h3>{functionName(tree, box)}</h3>
      <p class="soft">
        {moduleName(tree, box)} <span class="dim">{kindName(tree, box)}</span>
      </p>
      <Known {...props} share={share} error={error} />
      {error > share / 2 && <p class="badge warn">{t('side.few')}</p>}
      <Actions {...props} />
    </aside>
  )
}

function Known({ boxes, box, zoom, share, error }: Props & { share: number; error: number }) {
  const { tree } = boxes
  const own = useMemo(() => selfSamples(tree), [tree])[box] ?? 0
  return (
    <dl>
      <dt>{t('flame.total')}</dt>
      <dd>{formatSeconds(totalOf(tree, box))}</dd>
      <dd>{formatRatio(share)}</dd>
      <dt>{t('flame.self')}</dt>
      <dd>{formatSeconds(selfOf(tree, box))}</dd>
      <dd>{formatRatio(selfOf(tree, box) / totalOf(tree, 0))}</dd>
      {zoom > 0 && (
        <>
          <dt>{t('side.ofView')}</dt>
          <dd />
          <dd>{formatRatio(totalOf(tree, box) / totalOf(tree, zoom))}</dd>
        </>
      )}
      <dt>{t('side.samples')}</dt>
      <dd>{formatWhole(samplesOf(tree, box))}</dd>
      <dd class="dim" title={t('side.samplesSelf')}>
        {formatWhole(own)}
      </dd>
      <dt title={t('side.errorWhy')}>{t('side.error')}</dt>
      <dd />
      <dd>±{formatRatio(error)}</dd>
    </dl>
  )
}

function Actions({ boxes, box, transform, sandwich, zoomTo }: Props) {
  const { tree } = boxes
  const fn = fullName(tree, box)
  const module = moduleName(tree, box)
  const act = (label: string, key: string, run: () => void) => (
    <button type="button" class="button plain" onClick={run}>
      {label} {key !== '' && <kbd>{key}</kbd>}
    </button>
  )
  return (
    <div class="acts">
      {act(t('act.zoom'), '⏎', () => zoomTo(box))}
      {act(t('act.sandwich'), '', () => sandwich(functionName(tree, box)))}
      {act(t('act.focus'), '', () => transform({ kind: 'focus', fn }))}
      {act(t('act.drop'), '', () => transform({ kind: 'drop', fn }))}
      {act(t('act.merge'), '', () => transform({ kind: 'merge', fn }))}
      {module !== '' && act(t('act.module', { module }), '', () => transform({ kind: 'module', module }))}
      {act(t('act.recursion'), '', () => transform({ kind: 'recursion' }))}
      {act(t('act.copy'), '', () => void navigator.clipboard?.writeText(functionName(tree, box)))}
    </div>
  )
}
