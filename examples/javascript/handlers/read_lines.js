/**
 * Reads a text file, and maps each line that has words to the step `measure`.
 *
 * **
 * handler_type: mapper
 * argument_spec:
 *   - [path, str]
 */

import { open } from 'node:fs/promises';

export async function* handler(path) {
  yield Map('measure');
  const file = await open(path);
  let number = 0;
  for await (const line of file.readLines()) {
    number += 1;
    if (line.trim() !== '') yield [number, line];
  }
  LOG.info('%d lines', number);
}
