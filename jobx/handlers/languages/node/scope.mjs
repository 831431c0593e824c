// The names that handlers find among their globals, and the invocation that they refer to.

import { format } from 'node:util';

import { Decimal, Packer } from './values.mjs';

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
  #port;
  #packer = new Packer();

  constructor(port) {
    this.#port = port;
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
    this.#define('REQUEST', () => this.current?.request);
    this.#define('INVOCATION', () => this.current?.invocation);
  }

  /** Let handlers see names of the executor's scope: each has a value or is called there. */
  offer(names) {
    for (const name of Object.keys(names)) {
      if (name in globalThis) continue;
      this.#define(name, () => this.current?.names[name]);
      this.offered.add(name);
    }
  }

  /** Return a name's meaning: its value, or what calls the executor. */
  meaning(name, known) {
    return 'value' in known ? known.value : this.#remote(name);
  }

  write(text) {
    this.#port.capture(Buffer.from(text));
  }

  #define(name, get) {
    Object.defineProperty(globalThis, name, { get, configurable: true });
  }

  #log() {
    const line = (level) => (...parts) => {
      this.#port.write({ t: 'log', level: level.toUpperCase(), message: format(...parts).toWellFormed() });
    };
    const log = Object.fromEntries(LEVELS.map((level) => [level, line(level)]));
    const exception = (...parts) => log.error(...parts);
    return Object.freeze({ ...log, warn: log.warning, exception });
  }

  #remote(name) {
    return new Proxy(function () {}, {
      get: (_target, key) => (typeof key === 'string' && key !== 'then' ? this.#remote(`${name}.${key}`) : undefined),
      apply: (_target, _self, args) => this.#call(name, args),
    });
  }

  #call(name, args) {
    const answer = this.#port.ask({ t: 'call', name, args: this.#packer.addAll(args).take() });
    if (answer === null) process.reallyExit(0);
    if (answer.t === 'answer') return answer.value;
    const error = new Error(answer.message);
    error.name = answer.type;
    throw error;
  }

  /** What is written to stdout or stderr belongs to the invocation at work, in order. */
  #captureStreams() {
    for (const stream of [process.stdout, process.stderr]) {
      stream.write = (chunk, encoding, done) => {
        const named = typeof encoding === 'string' ? encoding : undefined;
        this.#port.capture(typeof chunk === 'string' ? Buffer.from(chunk, named) : chunk);
        const then = typeof encoding === 'function' ? encoding : done;
        if (then) process.nextTick(then);
        return true;
      };
    }
  }
}
