import { describe, expect, it } from 'vitest'
import { type Line, parseHead, parseLines } from '../../../ingest/foreign/lineprotocol.ts'

function parse(text: string): { lines: Line[]; wrong: string[] } {
  const lines: Line[] = []
  const wrong: string[] = []
  parseLines(
    text,
    line => lines.push(line),
    (error, number) => wrong.push(`${number}: ${error.message}`),
  )
  return { lines, wrong }
}

describe('a line of line protocol', () => {
  it('has a head, fields and a time', () => {
    expect(parse('cpu,cpu=cpu0,host=n1 usage_user=1.5,n=2i,u=3u,ok=true,text="a b" 1700000000000000001').lines).toEqual(
      [
        {
          head: 'cpu,cpu=cpu0,host=n1',
          fields: [
            ['usage_user', 1.5],
            ['n', 2],
            ['u', 3],
            ['ok', 1],
            ['text', undefined],
          ],
          time: 1700000000000000001n,
        },
      ],
    )
    expect(parse('m v=-1e-3').lines[0]).toEqual({ head: 'm', fields: [['v', -0.001]], time: undefined })
  })

  it('escapes commas, blanks and equals signs in names and tags', () => {
    expect(parseHead('my\\ disk\\,x,path=C:\\\\,a\\=b=c\\ d')).toEqual({
      measurement: 'my disk,x',
      tags: new Map([
        ['path', 'C:\\\\'],
        ['a=b', 'c d'],
      ]),
    })
    expect(parse('m a\\ b=1').lines[0]?.fields).toEqual([['a b', 1]])
  })

  it('may hold line breaks, quotes, commas and blanks in a string', () => {
    const text = 'm s="one\ntwo, \\"three\\" x=1",v=1 5\nm v=2 6\n\n# no line\r\nm v=3 7\r\n'
    expect(parse(text).lines.map(l => [l.fields.length, l.fields.at(-1), l.time])).toEqual([
      [2, ['v', 1], 5n],
      [1, ['v', 2], 6n],
      [1, ['v', 3], 7n],
    ])
  })

  it('that is none is told, and the others are taken', () => {
    const text = [
      'm v=1',
      'm',
      'm v=',
      'm =1',
      'm v=1x',
      'm v=1 soon',
      ',a=b v=1',
      'm s="open',
      'm v=0x10',
      'm v=2',
    ].join('\n')
    const { lines, wrong } = parse(text)
    expect(lines.map(l => l.fields[0]?.[1])).toEqual([1, 1, 2])
    expect(wrong).toEqual([
      '2: no fields',
      '3:  is no value',
      '4: a field has no name or no value',
      '5: 1x is no value',
      '6: soon is no time',
      '8: a string has no end',
      '9: 0x10 is no value',
    ])
    for (const head of ['m,a', 'm,=b', 'm,a=', 'm,a=b,', 'm,,a=b']) {
      if (head === 'm,a=b,') expect(parseHead(head).tags.size).toBe(1)
      else expect(() => parseHead(head), head).toThrow('is no tag')
    }
  })
})
