// The names that handlers find among their globals, and the invocation that they refer to.

import util from 'node:util';

import {
  Map, Proxy, RangeError, TypeError, apply, defineProperty, entries, globals, hasOwn, toWellFormed,
} from './primordials.mjs';
import { Decimal } from './values.mjs';

const { format } = util;
const { nextTick } = process;
const toBuffer = Buffer.from;
const LEVELS = ['debug', 'info', 'warning', 'error', 'critical'];

/** Return the step of a marker to map; undefined: it is another value. */
export let stepOf;
/** Tell whether a value is a marker to return. */
export let isToReturn;

/** A mapper's first yield: each pair that follows becomes a mapper of a step. */
export class MapTo {
  static {
    stepOf = (value) => (isObject(value) && #step in value ? value.#step : undefined);
  }

  #step;

  constructor(step) {
    if (typeof step !== 'string') throw new TypeError('a step is named by text');
    if (step === '') throw new RangeError('a step is named by text that is not empty');
    this.#step = step;
  }
}

/** A mapper's first yield: each pair that follows is part of its result. */
export class ToReturn {
  static {
    isToReturn = (value) => isObject(value) && #mark in value;
  }

  #mark;
}

/** The globals of handlers. ``scope.current`` is the invocation at work. */
export class Scope {
  current = null;
  /** Globals that were added for handlers. */
  offered = { __proto__: null };
  #lines;

  constructor(lines) {
    this.#lines = lines;
    this.#captureStreams();
    const map = (step) => new MapTo(step);
    const toReturn = () => new ToReturn();
    Object.assign(globals, {
      Decimal,
      MrConfigureToMap: map,
      MrConfigureToReturn: toReturn,
      Return: toReturn,
      LOG: this.#log(),
      PRINT: (...parts) => this.write(`${apply(format, undefined, parts)}\n`),
      // `Map("step")` is the marker, `new Map()` stays what it is.
      Map: new Proxy(Map, { __proto__: null, apply: (_target, _self, args) => map(args[0]) }),
    });
    define('REQUEST', () => this.current?.request);
    define('INVOCATION', () => this.current?.invocation);
  }

  /** Return what names of the executor's scope mean, and let handlers see them. */
  meanings(names) {
    const meanings = { __proto__: null };
    const given = entries(names);
    for (let at = 0; at < given.length; at++) {
      const name = given[at][0];
      const known = given[at][1];
      meanings[name] = hasOwn(known, 'value') ? known.value : this.#remote(name);
      if (name in globals) continue;
      define(name, () => this.current?.names[name]);
      this.offered[name] = true;
    }
    return meanings;
  }

  write(text) {
    this.#lines.capture(text);
  }

  #log() {
    const line = (level) => (...parts) => this.#lines.log(level, toWellFormed(apply(format, undefined, parts)));
    const log = Object.fromEntries(LEVELS.map((level) => [level, line(level)]));
    const exception = log.error;
    return Object.freeze({ ...log, warn: log.warning, exception });
  }

  #remote(name) {
    return new Proxy(function () {}, {
      __proto__: null,
      get: (_target, key) => (typeof key === 'string' && key !== 'then' ? this.#remote(`${name}.${key}`) : undefined),
      apply: (_target, _self, args) => this.#lines.ask(name, args),
    });
  }

  /** What is written to stdout or stderr belongs to the invocation at work, in order. */
  #captureStreams() {
    for (const stream of [process.stdout, process.stderr]) {
      stream.write = (chunk, encoding, done) => {
        if (typeof chunk !== 'string') this.#lines.captureBytes(chunk);
        else if (typeof encoding === 'string') this.#lines.captureBytes(toBuffer(chunk, encoding));
        else this.write(chunk);
        const then = typeof encoding === 'function' ? encoding : done;
        if (then) apply(nextTick, process, [then]);
        return true;
      };
    }
  }
}

function isObject(value) {
  return typeof value === 'object' && value !== null;
}

/** Add a global that handlers can read, and not replace. */
function define(name, get) {
  defineProperty(globals, name, { get });
}
