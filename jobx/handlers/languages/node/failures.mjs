// What an error of a handler is, as it is told.

import { Error, String, exec, indexOf, isNativeError, list, slice, toWellFormed } from './primordials.mjs';
import { kindOf } from './values.mjs';

const FRAME = /^\s*at (?:async )?(?:(.*?) \()?(file:\/\/[^\s:]+):(\d+):\d+\)?$/;
const HEADLINE = /^(file:\/\/[^\s:]+):(\d+)$/;

let isMisuse;

/** A handler that breaks its contract, a pair that is not one, or what the machine lacks. */
export class Misuse extends Error {
  static {
    isMisuse = (value) => typeof value === 'object' && value !== null && #mark in value;
  }

  #mark;
  name;
  kind;
  pair;

  constructor(kind, message, pair) {
    super(message);
    this.name = NAMES[kind];
    this.kind = kind;
    this.pair = pair;
  }
}
const NAMES = { disk: 'StoreUnavailable', pair: 'PairError', protocol: 'ProtocolError' };

/** Return what is told of an error; ``url`` is the handler's. */
export function failure(error, url) {
  const isOurs = isMisuse(error);
  const isKnown = isError(error);
  const type = isKnown ? text(() => error.name) : text(() => kindOf(error));
  const told = {
    __proto__: null,
    kind: isOurs ? error.kind : 'author',
    type,
    message: text(() => (isKnown ? error.message : error)),
    trace: isKnown ? trace(error, url) : [],
  };
  if (isOurs && error.pair !== undefined) told.pair = error.pair;
  return told;
}

/** Tell whether a value is an error; one may refuse to tell what it is. */
function isError(value) {
  try {
    return isNativeError(value) || value instanceof Error;
  } catch {
    return false;
  }
}

/** Return a text that an author may have made unreadable. */
export function text(read) {
  try {
    return toWellFormed(String(read()));
  } catch {
    return '(it cannot be shown)';
  }
}

/** Return where in the handler an error comes from, outermost first: line, function. */
function trace(error, url) {
  const stack = `${text(() => error.stack)}\n`;
  const found = list();
  for (let at = 0; at < stack.length; at = indexOf(stack, '\n', at) + 1) {
    const frame = exec(FRAME, slice(stack, at, indexOf(stack, '\n', at)));
    if (frame?.[2] === url) found[found.length] = [+frame[3], text(() => frame[1] ?? '<module>')];
  }
  const headline = exec(HEADLINE, slice(stack, 0, indexOf(stack, '\n')));
  if (found.length === 0 && headline?.[1] === url) return [[+headline[2], '<module>']];
  const places = list();
  for (let at = found.length - 1; at >= 0; at--) places[places.length] = found[at];
  return places;
}
