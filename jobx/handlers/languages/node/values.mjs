// Values of JobX as tagged JSON, both ways. See "Values" under JavaScript in docs/languages.md.

const { parse, stringify } = JSON;
const MAX_DEPTH = 64;
const BEYOND = 10n ** 4300n;
const [FIRST, LAST] = [Date.parse('0001-01-01T00:00:00Z'), Date.parse('9999-12-31T23:59:59.999Z')];
const FORMS = new Set(['$bytes', '$decimal', '$float', '$map', '$timestamp']);
// An integer that a number may not hold is read as text, under a name that no value has.
const LONG = 16;
const NUMBERS = /-?\d[\d.eE+-]*/g;
const INTEGER = /^-?\d{16,}$/;
const LONG_INTEGER = '\ud800';
const TIME = /^(.+)([+-])(\d\d):(\d\d)(?::(\d\d)[.\d]*)?$/;

/** A decimal number as its text: JavaScript has none of its own. */
export class Decimal {
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
  if (!value.isWellFormed()) throw new TypeError('text with half a surrogate pair has no bytes');
  return stringify(value);
}

/** Whole numbers that are exact are integers; the rest are floats. */
function textOfNumber(value) {
  if (Number.isSafeInteger(value)) return Object.is(value, -0) ? '-0.0' : `${value}`;
  if (value !== value) throw new TypeError('NaN is neither a key nor a value');
  if (!Number.isFinite(value)) return `{"$float":"${value > 0 ? 'inf' : '-inf'}"}`;
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : `${value}`;
}

function textOfObject(value, depth) {
  if (depth >= MAX_DEPTH) throw new TypeError(`arrays and maps nest deeper than ${MAX_DEPTH}`);
  if (Array.isArray(value)) return textOfArray(value, depth);
  if (value instanceof Uint8Array) return `{"$bytes":"${Buffer.from(value).toString('base64')}"}`;
  if (value instanceof Map) return textOfMap([...value], depth);
  if (value instanceof Date) return textOfDate(value);
  if (value instanceof Decimal) return `{"$decimal":${textOfText(value.text)}}`;
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return textOfMap(Object.entries(value), depth);
  throw new TypeError(`${nameOf(value)} cannot be a key or a value`);
}

function textOfArray(values, depth) {
  let text = '';
  for (let at = 0; at < values.length; at++) text += `${at ? ',' : '['}${toText(values[at], depth + 1)}`;
  return `${text || '['}]`;
}

function textOfMap(entries, depth) {
  let [text, plain] = ['', entries.length !== 1 || !FORMS.has(entries[0][0])];
  for (let at = 0; plain && at < entries.length; at++) plain = typeof entries[at][0] === 'string';
  for (let at = 0; at < entries.length; at++) {
    const [key, value] = [toText(entries[at][0], depth + 1), toText(entries[at][1], depth + 1)];
    text += `${at ? ',' : ''}${plain ? `${key}:${value}` : `[${key},${value}]`}`;
  }
  return plain ? `{${text}}` : `{"$map":[${text}]}`;
}

function textOfDate(value) {
  const at = value.getTime();
  if (Number.isNaN(at)) throw new TypeError('an invalid Date cannot be a key or a value');
  if (at < FIRST || at > LAST) throw new TypeError('a timestamp must be of the years 1 to 9999 in UTC');
  return `{"$timestamp":"${value.toISOString()}"}`;
}

/** Return the value that a JSON text says. */
export function fromText(text) {
  if (!hasLong(text)) return text.includes('"$') ? untagged(parse(text)) : parse(text);
  return untagged(parse(withoutLong(text)));
}

/** Tell whether there are 16 digits in a row: of so many, one is where this looks. */
function hasLong(text) {
  for (let at = LONG - 1; at < text.length; at += LONG) {
    if (!isDigit(text, at)) continue;
    let [from, to] = [at, at + 1];
    while (at - from < LONG && isDigit(text, from - 1)) from--;
    while (to - from < LONG && isDigit(text, to)) to++;
    if (to - from >= LONG) return true;
  }
  return false;
}

function isDigit(text, at) {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

/** Tag the integers of a JSON text that a number may not hold. Its texts are passed over by hand: an
 * expression for them runs out of stack at some length. */
function withoutLong(text) {
  const tagged = (found) => (INTEGER.test(found) ? `{"${LONG_INTEGER}":"${found}"}` : found);
  let result = '';
  for (let at = 0; ;) {
    const opening = text.indexOf('"', at);
    result += text.slice(at, opening < 0 ? text.length : opening).replace(NUMBERS, tagged);
    if (opening < 0) return result;
    at = text.indexOf('"', opening + 1) + 1;
    while (isEscaped(text, at - 1)) at = text.indexOf('"', at) + 1;
    result += text.slice(opening, at);
  }
}

function isEscaped(text, at) {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === '\\') backslashes++;
  return backslashes % 2 === 1;
}

/** Put values in place of their tags. A map whose keys are all text is an object, any other a Map. */
function untagged(value) {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) value[at] = untagged(value[at]);
    return value;
  }
  const entries = Object.entries(value);
  const [tag, body] = entries.length === 1 ? entries[0] : [];
  switch (tag) {
    case LONG_INTEGER: return Number.isSafeInteger(Number(body)) ? Number(body) : BigInt(body);
    case '$bytes': return Buffer.from(body, 'base64');
    case '$decimal': return new Decimal(body);
    case '$float': return body.startsWith('-') ? -Infinity : Infinity;
    case '$timestamp': return date(body);
    case '$map': return mapOf(untagged(body));
    default:
      for (const entry of entries) entry[1] = untagged(entry[1]);
      return Object.fromEntries(entries);
  }
}

function mapOf(entries) {
  return entries.every(([key]) => typeof key === 'string') ? Object.fromEntries(entries) : new Map(entries);
}

function date(text) {
  const [, wall, sign, hours, minutes, seconds = 0] = TIME.exec(text);
  const offset = 3600 * hours + 60 * minutes + Number(seconds);
  return new Date(Date.parse(`${wall}Z`) - (sign === '-' ? -1000 : 1000) * offset);
}

/** Return what a value is called in an error. */
export function nameOf(value) {
  if (value === null || value === undefined) return String(value);
  const name = typeof value === 'object' ? value.constructor?.name || 'object' : typeof value;
  return /^[aeiou]/i.test(name) ? `an ${name}` : `a ${name}`;
}
