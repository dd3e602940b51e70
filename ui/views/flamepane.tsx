/** The flame graph with what belongs to it: zoom and selection in the address, modules as legend, the side panel. */
import { useMemo } from 'preact/hooks'
import { moduleColour } from '../colour.ts'
import { formatRatio } from '../format.ts'
import { type Boxes, boxWithPath, matchStrings } from '../layout/flame.ts'
import { formatTransform, type Transform } from '../layout/transform.ts'
import { moduleShares, totalOf } from '../layout/tree.ts'
import { useTheme } from '../prefs.ts'
import { go, place, placeWith, useStore } from '../state.ts'
import { t } from '../words.ts'
import { COLOURS, FlameGraph } from './flame.tsx'
import { Side } from './side.tsx'

interface Props {
  boxes: Boxes
  height: number
  narrow: boolean
  name: string
}

const hashOf = (boxes: Boxes, box: number) => (box <= 0 ? undefined : (boxes.path[box] ?? 0).toString(36))

/** Zoom, selection and search of the address, on these boxes. */
export function useFlamePlace(boxes: Boxes) {
  const here = useStore(place)
  const { zoom: zoomText = '0', box: boxText = '0', find = '' } = here.query
  return {
    zoom: boxWithPath(boxes, Number.parseInt(zoomText, 36)),
    selected: boxWithPath(boxes, Number.parseInt(boxText, 36)),
    matched: useMemo(() => matchStrings(boxes.tree.strings, find), [boxes, find]),
    onZoom: (box: number) => go(placeWith(here, { zoom: hashOf(boxes, box), box: hashOf(boxes, box) })),
    onSelect: (box: number) => go(placeWith(here, { box: hashOf(boxes, box) }), 'replace'),
  }
}

export function FlamePane({ boxes, height, narrow, name }: Props) {
  const here = useStore(place)
  const flame = useFlamePlace(boxes)
  return (
    <div class={`flame-body${narrow ? '' : ' with-side'}`}>
      <div>
        <FlameGraph
          boxes={boxes}
          {...flame}
          colourBy={COLOURS.find(c => c === here.query.colour) ?? 'module'}
          up={here.query.up === '1'}
          height={height}
          label={`${t('way.flame')}: ${name}`}
        />
        <Modules boxes={boxes} />
      </div>
      {!narrow && (
        <Side
          boxes={boxes}
          box={flame.selected}
          zoom={flame.zoom}
          zoomTo={flame.onZoom}
          transform={transformHere}
          sandwich={fn => go(placeWith(here, { stacks: 'sandwich', fn }))}
        />
      )}
    </div>
  )
}

function transformHere(how: Transform): void {
  const here = place.get()
  const text = formatTransform(how)
  if (!here.transforms.includes(text))
    go(placeWith(here, { zoom: undefined, box: undefined }, [...here.transforms, text]))
}

const SHOWN_MODULES = 9

/** Whose code it was: own time by module. A click searches for it. */
function Modules({ boxes }: { boxes: Boxes }) {
  useTheme()
  const { tree } = boxes
  const shares = useMemo(() => moduleShares(tree), [tree])
  return (
    <div class="modules">
      {shares.slice(0, SHOWN_MODULES).map(s => {
        const module = tree.strings[s.module] ?? ''
        return (
          <button
            key={module}
            type="button"
            title={module === '' ? t('stacks.prunedWhy') : t('stacks.findModule', { module })}
            disabled={module === ''}
            onClick={() => {
              const here = place.get()
              go(placeWith(here, { find: here.query.find === module ? undefined : module }))
            }}
          >
            <i class="dot" style={{ background: moduleColour(module, tree.kinds[s.kind] ?? '') }} />
            {module || t('stacks.pruned')} <span class="dim">{formatRatio(s.seconds / totalOf(tree, 0))}</span>
          </button>
        )
      })}
    </div>
  )
}
