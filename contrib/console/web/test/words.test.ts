import { expect, test } from 'vitest'
import { en } from '../src/words/en'
import { duration, money, short } from '../src/words/numbers'
import { zh } from '../src/words/zh'

test.each([
  [0.0004, '0 ms'], [0.34, '340 ms'], [0.9996, '1.0 s'], [2.06, '2.1 s'], [61, '61 s'], [180, '3 min'], [7_200, '2 h'], [400_000, '5 d'], [null, '–'],
])('%s seconds are %s', (seconds, text) => expect(duration(seconds)).toBe(text))

test.each([[0, '0'], [0.417, '0.42'], [7.31, '7.3'], [128, '128'], [12_400, '12.4k'], [3_100_000, '3.1M'], [undefined, '–']])(
  '%s is %s',
  (value, text) => expect(short(value)).toBe(text),
)

test.each([[0, '$0'], [21_000, '$0.00021'], [124_000_000, '$1.24'], [1, '$0.00000001'], [null, '–']])(
  '%s millionths of a cent are %s',
  (value, text) => expect(money(value)).toBe(text),
)

function placeholders(value: unknown, path = ''): string[] {
  if (typeof value === 'string') return [...value.matchAll(/\{\w+\}/gu)].map((each) => `${path} ${each[0]}`).sort()
  return Object.entries(value as object).flatMap(([key, each]) => placeholders(each, `${path}.${key}`))
}

test('both languages put the same values into their sentences', () => {
  expect(placeholders(zh)).toEqual(placeholders(en))
})
