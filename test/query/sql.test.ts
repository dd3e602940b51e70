import { describe, expect, it } from 'vitest'
import { and, column, join, list, sql } from '../../query/sql.ts'

describe('sql', () => {
  it('binds every value, typed by what it is', () => {
    const q = sql`a = ${'x'} AND b > ${5} AND c < ${0.5} AND d IN ${['p', 'q']} AND e IN ${[1, 2]} AND f = ${7n} AND g = ${true}`
    expect(q.query).toBe(
      'a = {p0:String} AND b > {p1:Int64} AND c < {p2:Float64} AND d IN {p3:Array(String)} AND e IN {p4:Array(Int64)} AND f = {p5:UInt64} AND g = {p6:Bool}',
    )
    expect(q.query_params).toEqual({ p0: 'x', p1: 5, p2: 0.5, p3: ['p', 'q'], p4: [1, 2], p5: 7n, p6: true })
    expect(sql`x IN ${[]}`.query).toBe('x IN {p0:Array(String)}')
    expect(sql`x IN ${[1, 2.5]}`.query).toBe('x IN {p0:Array(Float64)}')
  })

  it('splices fragments with their values, numbered anew', () => {
    const inner = sql`node IN ${['a']}`
    const q = sql`SELECT ${1} WHERE ${and([inner, undefined, sql`t > ${2}`])} AND ${inner}`
    expect(q.query).toBe(
      'SELECT {p0:Int64} WHERE node IN {p1:Array(String)} AND t > {p2:Int64} AND node IN {p3:Array(String)}',
    )
    expect(q.query_params).toEqual({ p0: 1, p1: ['a'], p2: 2, p3: ['a'] })
    expect(and([]).query).toBe('true')
    expect(list([sql`a`, sql`b`]).query).toBe('a, b')
    expect(join([sql`a`, sql`${1}`, sql`b`], sql` OR `).query).toBe('a OR {p0:Int64} OR b')
  })

  it('takes no text but its own: a value is never part of the statement', () => {
    const evil = "'; DROP TABLE jobs; --"
    expect(sql`SELECT ${evil}`.query).toBe('SELECT {p0:String}')
    expect(() => column({ column: 'a; DROP TABLE jobs' })).toThrow('not an identifier')
    expect(column({ column: 'cpu_user' }).query).toBe('cpu_user')
  })
})
