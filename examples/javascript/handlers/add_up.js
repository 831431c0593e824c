/**
 * Adds up the values of each key.
 *
 * **
 * handler_type: reducer
 */

export function* handler(key, values) {
  yield [key, values.reduce((sum, value) => sum + value, 0)];
}
