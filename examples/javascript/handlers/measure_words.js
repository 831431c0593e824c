/**
 * Measures the words of a line: yields the length of each with a 1.
 *
 * **
 * handler_type: mapper
 */

const WORD = /[\p{Letter}']+/gu;

export function* handler(key, value) {
  yield Return();
  for (const [word] of value.matchAll(WORD)) yield [word.length, 1];
}
