/** CPU time by what the stacks were doing: one bar. */
import { useMemo } from 'preact/hooks'
import type { Categories } from '../../query/api.ts'
import { categoryColour } from '../colour.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import { language, useTheme } from '../prefs.ts'
import { t, term } from '../words.ts'

import { Chart } from './chart.tsx'
import type { Frame } from './stack.tsx'

export interface CategoryShare {
  category: string
  seconds: number
  samples: number
}

const nameOf = (category: string) => term('category', category)

export function CategoryBar({ categories }: { categories: readonly CategoryShare[] }) {
  useTheme()
  const whole = categories.reduce((sum, c) => sum + c.seconds, 0)
  if (whole <= 0) return null
  return (
    <div>
      <div
        class="categories"
        role="img"
        aria-label={categories.map(c => `${nameOf(c.category)} ${formatRatio(c.seconds / whole)}`).join(', ')}
      >
        {categories.map(c => (
          <span
            key={c.category}
            style={{ width: `${(c.seconds / whole) * 100}%`, background: categoryColour(c.category) }}
            title={`${nameOf(c.category)} ${formatRatio(c.seconds / whole)} · ${formatSeconds(c.seconds)}`}
          />
        ))}
      </div>
      <div class="category-names">
        {categories.map(c => (
          <span key={c.category} title={formatSeconds(c.seconds)}>
            <i class="dot" style={{ background: categoryColour(c.category) }} />
            {nameOf(c.category)} <b>{formatRatio(c.seconds / whole)}</b>
            <span class="dim">{formatSeconds(c.seconds)}</span>
          </span>
        ))}
      </div>
    </div>
  )
}

/** Mean cores by what the stacks were doing, over time: compute that turns into waiting is seen here first. */
export function CategoryChart({ frame, over }: { frame: Frame; over: NonNullable<Categories['over']> }) {
  const theme = useTheme()
  const layers = useMemo(
    () =>
      over.categories.map(c => ({
        name: nameOf(c.category),
        colour: categoryColour(c.category),
        values: c.seconds.map(v => (v === null ? null : (v * 1000) / over.bucketMs)),
      })),
    [over, theme, language.get()],
  )
  return (
    <Chart
      frame={frame}
      title={t('categories.over')}
      unit="cores"
      from={over.from}
      bucketMs={over.bucketMs}
      layers={layers}
      how="stack"
      full={null}
      height={Math.max(64, 22 + layers.length * 15)}
      why={t('stacks.none')}
    />
  )
}
