// Values of JobX as tagged JSON, both ways. See "Values" under JavaScript in docs/languages.md.

import {
  BigInt, Date, Map, ObjectPrototype, String, TypeError, charCodeAt, entries, entriesOfMap, exec, fromBase64, getPrototypeOf,
  getTime, includes, indexOf, is, isArray, isDate, isFinite, isInteger, isMap, isSafeInteger, isUint8Array, isWellFormed, ownKeys,
  parse, parseDate, put, setMap, slice, stringify, toBase64, toISOString,
} from './primordials.mjs';

const MAX_DEPTH = 64;
const BEYOND = 10n ** 4300n;
const [FIRST, LAST] = [parseDate('0001-01-01T00:00:00Z'), parseDate('9999-12-31T23:59:59.999Z')];
const FORMS = { __proto__: null, $bytes: true, $decimal: true, $float: true, $map: true, $timestamp: true };
// An integer that a number may not hold is read as text, under a name that no value has.
const LONG = 16;
const NUMBERS = /-?\d[\d.eE+-]*/g;
const INTEGER = /^-?\d{16,}$/;
const LONG_INTEGER = '\ud800';
const VOWEL = /^[aeiou]/i;
const TIME = /^(.+)([+-])(\d\d):(\d\d)(?::(\d\d)[.\d]*)?$/;

let isDecimal;

/** A decimal number as its text: JavaScript has none of its own. */
export class Decimal {
  static {
    isDecimal = (value) => #mark in value;
  }

  #mark;
  text = '';

  constructor(text) {
    this.text = String(text);
  }

  toString() {
    return this.text;
  }
}

/** Return a value as JSON, or at depth -1 an array of values; what is none throws a TypeError. */
export function toText(value, depth = 0) {
  switch (typeof value) {
    case 'string': return textOfText(value);
    case 'number': return textOfNumber(value);
    case 'boolean': return value ? 'true' : 'false';
    case 'bigint':
      if (value < BEYOND && value > -BEYOND) return `${value}`;
      throw new TypeError('an integer of more than 4300 digits is neither a key nor a value');
    case 'object': return value === null ? 'null' : textOfObject(value, depth);
    default: throw new TypeError(`${nameOf(value)} cannot be a key or a value`);
  }
}

function textOfText(value) {
  if (!isWellFormed(value)) throw new TypeError('text with half a surrogate pair has no bytes');
  return stringify(value);
}

/** Whole numbers that are exact are integers; the rest are floats. */
function textOfNumber(value) {
  if (isSafeInteger(value)) return is(value, -0) ? '-0.0' : `${value}`;
  if (value !== value) throw new TypeError('NaN is neither a key nor a value');
  if (!isFinite(value)) return `{"$float":"${value > 0 ? 'inf' : '-inf'}"}`;
  return isInteger(value) && value < 1e21 && value > -1e21 ? `${value}.0` : `${value}`;
}

function textOfObject(value, depth) {
  if (depth >= MAX_DEPTH) throw new TypeError(`arrays and maps nest deeper than ${MAX_DEPTH}`);
  if (isArray(value)) return textOfArray(value, depth);
  if (isUint8Array(value)) return `{"$bytes":"${toBase64(value)}"}`;
  if (isMap(value)) return textOfMap(entriesOfMap(value), depth);
  if (isDate(value)) return textOfDate(value);
  if (isDecimal(value)) return `{"$decimal":${textOfText(value.text)}}`;
  const prototype = getPrototypeOf(value);
  if (prototype === ObjectPrototype || prototype === null) return textOfMap(entries(value), depth);
  throw new TypeError(`${nameOf(value)} cannot be a key or a value`);
}

function textOfArray(values, depth) {
  let text = '';
  for (let at = 0; at < values.length; at++) text += `${at ? ',' : '['}${toText(values[at], depth + 1)}`;
  return `${text || '['}]`;
}

function textOfMap(given, depth) {
  let plain = true;
  for (let at = 0; plain && at < given.length; at++) plain = typeof given[at][0] === 'string';
  if (plain && given.length === 1) plain = !(given[0][0] in FORMS);
  let text = '';
  for (let at = 0; at < given.length; at++) {
    const key = toText(given[at][0], depth + 1);
    const value = toText(given[at][1], depth + 1);
    text += `${at ? ',' : ''}${plain ? `${key}:${value}` : `[${key},${value}]`}`;
  }
  return plain ? `{${text}}` : `{"$map":[${text}]}`;
}

function textOfDate(value) {
  const at = getTime(value);
  if (at !== at) throw new TypeError('an invalid Date cannot be a key or a value');
  if (at < FIRST || at > LAST) throw new TypeError('a timestamp must be of the years 1 to 9999 in UTC');
  return `{"$timestamp":"${toISOString(value)}"}`;
}

/** Return the value that a JSON text says. */
export function fromText(text) {
  if (!hasLong(text)) return includes(text, '"$') ? untagged(parse(text)) : parse(text);
  return untagged(parse(withoutLong(text)));
}

/** Tell whether there are 16 digits in a row: of so many, one is where this looks. */
function hasLong(text) {
  for (let at = LONG - 1; at < text.length; at += LONG) {
    if (!isDigit(text, at)) continue;
    let from = at;
    let to = at + 1;
    while (at - from < LONG && isDigit(text, from - 1)) from--;
    while (to - from < LONG && isDigit(text, to)) to++;
    if (to - from >= LONG) return true;
  }
  return false;
}

function isDigit(text, at) {
  const code = charCodeAt(text, at);
  return code >= 48 && code <= 57;
}

/** Tag the integers of a JSON text that a number may not hold. Its texts are passed over by hand: an
 * expression for them runs out of stack at some length. */
function withoutLong(text) {
  let result = '';
  for (let at = 0; ;) {
    const opening = indexOf(text, '"', at);
    result += tagged(slice(text, at, opening < 0 ? text.length : opening));
    if (opening < 0) return result;
    at = indexOf(text, '"', opening + 1) + 1;
    while (isEscaped(text, at - 1)) at = indexOf(text, '"', at) + 1;
    result += slice(text, opening, at);
  }
}

/** Tag the long integers of a text without quotes. */
function tagged(text) {
  let result = '';
  let at = 0;
  for (let found = exec(NUMBERS, text); found !== null; found = exec(NUMBERS, text)) {
    if (exec(INTEGER, found[0]) === null) continue;
    result += `${slice(text, at, found.index)}{"${LONG_INTEGER}":"${found[0]}"}`;
    at = NUMBERS.lastIndex;
  }
  return result + slice(text, at);
}

function isEscaped(text, at) {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === '\\') backslashes++;
  return backslashes % 2 === 1;
}

/** Put values in place of their tags. A map whose keys are all text is an object, any other a Map. */
function untagged(value) {
  if (typeof value !== 'object' || value === null) return value;
  const keys = isArray(value) ? null : ownKeys(value);
  if (keys?.length === 1 && (keys[0] === LONG_INTEGER || keys[0] in FORMS)) return meant(keys[0], value[keys[0]]);
  const length = keys === null ? value.length : keys.length;
  for (let at = 0; at < length; at++) {
    const key = keys === null ? at : keys[at];
    value[key] = untagged(value[key]);
  }
  return value;
}

function meant(tag, body) {
  switch (tag) {
    case LONG_INTEGER: return isSafeInteger(+body) ? +body : BigInt(body);
    case '$bytes': return fromBase64(body);
    case '$decimal': return new Decimal(body);
    case '$float': return body[0] === '-' ? -Infinity : Infinity;
    case '$timestamp': return date(body);
    default: return mapOf(untagged(body));
  }
}

function mapOf(given) {
  const map = new Map();
  const object = {};
  let isPlain = true;
  for (let at = 0; at < given.length; at++) {
    isPlain = isPlain && typeof given[at][0] === 'string';
    setMap(map, given[at][0], given[at][1]);
    if (isPlain) put(object, given[at][0], given[at][1]);
  }
  return isPlain ? object : map;
}

function date(text) {
  const found = exec(TIME, text);
  const offset = 3600 * found[3] + 60 * found[4] + +(found[5] ?? 0);
  return new Date(parseDate(`${found[1]}Z`) - (found[2] === '-' ? -1000 : 1000) * offset);
}

/** Return what kind of value one is. */
export function kindOf(value) {
  if (typeof value !== 'object') return typeof value;
  return value === null ? 'null' : value.constructor?.name || 'object';
}

/** Return what a value is called in an error. */
export function nameOf(value) {
  if (value === null || value === undefined) return `${value}`;
  const name = kindOf(value);
  return exec(VOWEL, name) === null ? `a ${name}` : `an ${name}`;
}
