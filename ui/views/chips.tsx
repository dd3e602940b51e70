/** Above the stacks: search with its matched share, transforms as chips that can be taken back, looks. */
import { useMemo } from 'preact/hooks'
import { formatRatio } from '../format.ts'
import { type Boxes, boxWithPath, matchedSeconds, matchStrings } from '../layout/flame.ts'
import { formatTransform, parseTransform } from '../layout/transform.ts'
import { totalOf } from '../layout/tree.ts'
import { go, type Place, placeWith } from '../state.ts'
import { t } from '../words.ts'
import { COLOURS } from './flame.tsx'

interface Props {
  place: Place
  boxes: Boxes | undefined
  /** Orientation and colours belong to the flame graph alone. */
  looks: boolean
}

export function Chips({ place: here, boxes, looks }: Props) {
  const share = useMatched(here, boxes)
  const find = (text: string) => go(placeWith(here, { find: text }), 'replace')
  return (
    <div class="chips">
      <input
        class="field"
        type="search"
        id="find"
        value={here.query.find ?? ''}
        placeholder={t('stacks.find')}
        aria-label={t('stacks.find')}
        onInput={event => find(event.currentTarget.value)}
      />
      {share !== undefined && <b>{t('stacks.matched', { share: formatRatio(share) })}</b>}
      {here.transforms.map(text => (
        <Chip key={text} place={here} text={text} />
      ))}
      {looks && <Looks place={here} />}
    </div>
  )
}

/** Part of what is zoomed to that holds what is searched for. */
function useMatched(here: Place, boxes: Boxes | undefined): number | undefined {
  const { find = '', zoom: zoomed = '0' } = here.query
  return useMemo(() => {
    const matched = boxes && matchStrings(boxes.tree.strings, find)
    if (!boxes || !matched) return undefined
    const zoom = boxWithPath(boxes, Number.parseInt(zoomed, 36))
    return matchedSeconds(boxes, matched, zoom) / Math.max(1e-9, totalOf(boxes.tree, zoom))
  }, [boxes, find, zoomed])
}

function Chip({ place: here, text }: { place: Place; text: string }) {
  const without = here.transforms.filter(other => other !== text)
  return (
    <span class="chip">
      <span class="cut">{chipName(text)}</span>
      <button
        type="button"
        aria-label={t('stacks.takeBackOne', { name: chipName(text) })}
        onClick={() => go(placeWith(here, { zoom: undefined }, without))}
      >
        ✕
      </button>
    </span>
  )
}

function chipName(text: string): string {
  const how = parseTransform(text)
  if (how === undefined) return text
  if ('fn' in how) return t(`chip.${how.kind}`, { name: how.fn.split('@')[0] ?? '' })
  return 'module' in how ? t('chip.module', { name: how.module }) : t(`chip.${how.kind}`)
}

/** Orientation, colours, inversion. */
function Looks({ place: here }: { place: Place }) {
  const inverted = here.transforms.includes('invert')
  const toggle = (label: string, on: boolean, to: () => void) => (
    <button type="button" class="button plain" aria-pressed={on} onClick={to}>
      {label}
    </button>
  )
  return (
    <>
      <span style={{ flex: 1 }} />
      {toggle(t('look.invert'), inverted, () =>
        go(
          placeWith(
            here,
            { zoom: undefined },
            inverted
              ? here.transforms.filter(x => x !== 'invert')
              : [...here.transforms, formatTransform({ kind: 'invert' })],
          ),
        ),
      )}
      {toggle(t('look.up'), here.query.up === '1', () =>
        go(placeWith(here, { up: here.query.up === '1' ? undefined : '1' })),
      )}
      <ColourChoice place={here} />
    </>
  )
}

function ColourChoice({ place: here }: { place: Place }) {
  return (
    <select
      class="field"
      style={{ height: '24px' }}
      aria-label={t('look.colour')}
      value={here.query.colour ?? 'module'}
      onChange={event =>
        go(placeWith(here, { colour: event.currentTarget.value === 'module' ? undefined : event.currentTarget.value }))
      }
    >
      {COLOURS.map(c => (
        <option key={c} value={c}>
          {t(`look.${c}`)}
        </option>
      ))}
    </select>
  )
}
