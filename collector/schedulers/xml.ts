/** As much XML as schedulers print: elements, attributes, text, the five entities. No DTD, no CDATA. */

export interface Element {
  name: string
  attributes: Record<string, string>
  children: Element[]
  /** Text of its own, without what is inside its children. */
  text: string
}

const TOKEN = /<(\/?)([\w:.-]+)((?:\s+[\w:.-]+\s*=\s*(?:'[^']*'|"[^"]*"))*)\s*(\/?)>|<[?!][^>]*>|([^<]+)/g
const ATTRIBUTE = /([\w:.-]+)\s*=\s*(?:'([^']*)'|"([^"]*)")/g
const ENTITIES: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

/** The root element; undefined where the text is not one whole document, as when its writer was ended. */
export function parseXml(text: string): Element | undefined {
  const top: Element = { name: '', attributes: {}, children: [], text: '' }
  const open = [top]
  for (const [, closing, name = '', attributes = '', empty, plain] of text.matchAll(TOKEN)) {
    const inside = open.at(-1)
    if (inside === undefined) return undefined
    if (plain !== undefined) inside.text += unescaped(plain)
    else if (closing) {
      if (open.pop()?.name !== name || open.length === 0) return undefined
    } else if (name !== '') {
      const element = { name, attributes: parseAttributes(attributes), children: [], text: '' }
      inside.children.push(element)
      if (!empty) open.push(element)
    }
  }
  return open.length === 1 && top.children.length === 1 ? top.children[0] : undefined
}

function parseAttributes(text: string): Record<string, string> {
  return Object.fromEntries([...text.matchAll(ATTRIBUTE)].map(m => [m[1] ?? '', unescaped(m[2] ?? m[3] ?? '')]))
}

function unescaped(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (all, hex?: string, decimal?: string, name?: string) => {
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
    if (name !== undefined) return ENTITIES[name] ?? all
    return code <= 0x10ffff ? String.fromCodePoint(code) : all
  })
}

/** Every element of that name below, at any depth. */
export function elementsOf(element: Element, name: string): Element[] {
  return element.children.flatMap(child => (child.name === name ? [child] : elementsOf(child, name)))
}

/** Text of the first child of that name; undefined where there is none, or it is empty. */
export function textOf(element: Element, name: string): string | undefined {
  return element.children.find(child => child.name === name)?.text.trim() || undefined
}
