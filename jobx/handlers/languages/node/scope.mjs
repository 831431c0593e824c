// The names that handlers find among their globals, and the invocation that they refer to.

import { format } from 'node:util';

import { Decimal } from './values.mjs';

const { hasOwn } = Object;
const LEVELS = ['debug', 'info', 'warning', 'error', 'critical'];

/** A mapper's first yield: each pair that follows becomes a mapper of a step. */
export class MapTo {
  constructor(step) {
    if (typeof step !== 'string') throw new TypeError('a step is named by text');
    if (step === '') throw new RangeError('a step is named by text that is not empty');
    this.step = step;
  }
}

/** A mapper's first yield: each pair that follows is part of its result. */
export class ToReturn {}

/** The globals of handlers. ``scope.current`` is the invocation at work. */
export class Scope {
  current = null;
  offered = new Set();
  #lines;

  constructor(lines) {
    this.#lines = lines;
    this.#captureStreams();
    const map = (step) => new MapTo(step);
    const toReturn = () => new ToReturn();
    Object.assign(globalThis, {
      Decimal,
      MrConfigureToMap: map,
      MrConfigureToReturn: toReturn,
      Return: toReturn,
      LOG: this.#log(),
      PRINT: (...parts) => this.write(`${format(...parts)}\n`),
      // `Map("step")` is the marker, `new Map()` stays what it is.
      Map: new Proxy(Map, { apply: (_target, _self, [step]) => map(step) }),
    });
    define('REQUEST', () => this.current?.request);
    define('INVOCATION', () => this.current?.invocation);
  }

  /** Return what names of the executor's scope mean, and let handlers see them. */
  meanings(names) {
    const meanings = {};
    for (const [name, known] of Object.entries(names)) {
      meanings[name] = hasOwn(known, 'value') ? known.value : this.#remote(name);
      if (name in globalThis) continue;
      define(name, () => this.current?.names[name]);
      this.offered.add(name);
    }
    return meanings;
  }

  write(text) {
    this.#lines.capture(text);
  }

  #log() {
    const line = (level) => (...parts) => this.#lines.log(level, format(...parts).toWellFormed());
    const log = Object.fromEntries(LEVELS.map((level) => [level, line(level)]));
    const exception = (...parts) => log.error(...parts);
    return Object.freeze({ ...log, warn: log.warning, exception });
  }

  #remote(name) {
    return new Proxy(function () {}, {
      get: (_target, key) => (typeof key === 'string' && key !== 'then' ? this.#remote(`${name}.${key}`) : undefined),
      apply: (_target, _self, args) => this.#lines.ask(name, args),
    });
  }

  /** What is written to stdout or stderr belongs to the invocation at work, in order. */
  #captureStreams() {
    for (const stream of [process.stdout, process.stderr]) {
      stream.write = (chunk, encoding, done) => {
        if (typeof chunk !== 'string') this.#lines.captureBytes(chunk);
        else if (typeof encoding === 'string') this.#lines.captureBytes(Buffer.from(chunk, encoding));
        else this.write(chunk);
        const then = typeof encoding === 'function' ? encoding : done;
        if (then) process.nextTick(then);
        return true;
      };
    }
  }
}

/** Add a global that handlers can read, and not replace. */
function define(name, get) {
  Object.defineProperty(globalThis, name, { get });
}
