// What the language and node offer, as it was before there was author code.
//
// Author code can replace each function and each `next`, and put setters on the prototypes. So the
// modules of this folder call what is here, loop by index, read what an object has itself, and add
// to lists that inherit nothing. What a handler breaks then fails its own code alone.

import { Buffer } from 'node:buffer';
import { StringDecoder as Decoder } from 'node:string_decoder';
import { types } from 'node:util';

const { bind, call } = Function.prototype;
/** Return a method as a function of its object. */
const uncurried = bind.bind(call);
const getter = (object, key) => uncurried(Reflect.getOwnPropertyDescriptor(object, key).get);

export const { apply, construct, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
export const { entries, hasOwn, is, isExtensible, setPrototypeOf } = Object;
export const { isArray } = Array;
export const { isFinite, isInteger, isSafeInteger } = Number;
export const { asyncIterator, iterator } = Symbol;
export const { isDate, isMap, isNativeError, isPromise, isUint8Array } = types;
export const { parse, stringify } = JSON;
const { BigInt, Date, Error, Map, Promise, Proxy, RangeError, Set, String, TypeError, Uint8Array } = globalThis;
export { BigInt, Date, Error, Map, Promise, Proxy, RangeError, Set, String, TypeError, Uint8Array };

export const { parse: parseDate } = Date;
export const globals = globalThis;
export const ObjectPrototype = Object.prototype;
export const charCodeAt = uncurried(String.prototype.charCodeAt);
export const includes = uncurried(String.prototype.includes);
export const indexOf = uncurried(String.prototype.indexOf);
export const isWellFormed = uncurried(String.prototype.isWellFormed);
export const lastIndexOf = uncurried(String.prototype.lastIndexOf);
export const slice = uncurried(String.prototype.slice);
export const toWellFormed = uncurried(String.prototype.toWellFormed);
export const exec = uncurried(RegExp.prototype.exec);
export const getTime = uncurried(Date.prototype.getTime);
export const toISOString = uncurried(Date.prototype.toISOString);
export const setMap = uncurried(Map.prototype.set);
export const getMap = uncurried(Map.prototype.get);
export const hasSet = uncurried(Set.prototype.has);
export const addSet = uncurried(Set.prototype.add);
const eachOfMap = uncurried(Map.prototype.forEach);
const define = Reflect.defineProperty;

const encoder = new TextEncoder();
const encode = uncurried(TextEncoder.prototype.encode);
const decode = uncurried(Decoder.prototype.write);
const base64Slice = uncurried(Buffer.prototype.base64Slice);
const base64Write = uncurried(Buffer.prototype.base64Write);
const { alloc, byteLength } = Buffer;

/** Tell how many bytes there are. */
export const sizeOf = getter(getPrototypeOf(Uint8Array.prototype), 'byteLength');

export const toBytes = (text) => encode(encoder, text);
export const toBase64 = (bytes) => base64Slice(bytes);

export function fromBase64(text) {
  const bytes = alloc(byteLength(text, 'base64'));
  base64Write(bytes, text, 0, sizeOf(bytes));
  return bytes;
}

/** Return what makes text of bytes that come in pieces. */
export function textDecoder() {
  const decoder = new Decoder('utf8');
  return (bytes) => decode(decoder, bytes);
}

/** Return an array that no setter of a prototype keeps from growing. */
export const list = () => setPrototypeOf([], null);

export function add(found, one) {
  found[found.length] = one;
}

export function addAll(found, more) {
  for (let at = 0; at < more.length; at++) found[found.length] = more[at];
}

/** Add a property, whatever its object inherits; false: it cannot be added. */
export function defineProperty(object, key, described) {
  return define(object, key, setPrototypeOf(described, null));
}

/** Give an object a property as an assignment does. */
export function put(object, key, value, enumerable = true) {
  return define(object, key, { __proto__: null, value, writable: true, enumerable, configurable: true });
}

export function entriesOfMap(map) {
  const found = list();
  eachOfMap(map, (value, key) => { found[found.length] = [key, value]; });
  return found;
}

/** Return a promise that is awaited without a look at the prototype of promises. */
export function awaitable(promise) {
  define(promise, 'constructor', { __proto__: null, value: Promise, writable: true, configurable: true });
  return promise;
}

const { constructor, then } = Promise.prototype;

/** Put back what node needs to load a module: without it, that never ends. False: it cannot be. */
export function mendPromises() {
  return put(Promise.prototype, 'constructor', constructor, false) && put(Promise.prototype, 'then', then, false)
    && deleteProperty(ObjectPrototype, 'then');
}

// A list of pairs of a prototype and a function; so few are looked through in no time.
const prototypeOf = (made) => Reflect.getPrototypeOf(made);
const MAKERS = [[Array, 'values'], [Map, 'entries'], [Set, 'values']].map(
  ([{ prototype }, name]) => [prototype, uncurried(prototype[name])]);
const ITERATORS = [prototypeOf(function* () {}).prototype, prototypeOf(async function* () {}).prototype,
  ...[[].values(), new Map().values(), new Set().values(), ''[Symbol.iterator]()].map(prototypeOf)];
const STEPS = ITERATORS.map((prototype) => [prototype, uncurried(prototype.next)]);

function known(table, prototype) {
  for (let at = 0; at < table.length; at++) if (table[at][0] === prototype) return table[at][1];
  return undefined;
}

/** Return `next` of an iterator of the language as it was; undefined: it is none, or has another. */
function nextOf(made) {
  for (let object = made; object !== null && !hasOwn(object, 'next') && !hasOwn(object, iterator);) {
    object = getPrototypeOf(object);
    const next = known(STEPS, object);
    if (next !== undefined) return next;
  }
  return undefined;
}

/** Return what makes the steps of an iterable, sync or async; undefined: an object is none. */
export function stepper(given) {
  let made = given;
  let next = nextOf(made);
  if (next === undefined) {
    const make = hasOwn(given, iterator) ? undefined : known(MAKERS, getPrototypeOf(given));
    const found = make ?? given[asyncIterator] ?? given[iterator];
    if (!found) return undefined;
    made = make === undefined ? apply(found, given, []) : make(given);
    next = nextOf(made);
  }
  return next === undefined ? () => made.next() : () => next(made);
}
