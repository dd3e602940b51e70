/** CPU time by what the stacks were doing: one bar. */
import { categoryColour } from '../colour.ts'
import { formatRatio, formatSeconds } from '../format.ts'
import { useTheme } from '../prefs.ts'
import { term } from '../words.ts'

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
