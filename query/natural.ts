const collator = new Intl.Collator('en', { numeric: true })

/** node2 before node10. */
export const natural = (a: string, b: string): number => collator.compare(a, b)
