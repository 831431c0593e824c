// Runs the JavaScript handlers of an executor: `node prelude.mjs`.
//
// It is a program of the line protocol, see docs/languages.md. Beyond what is there, a call names
// its handler by the version, which is asked for once (`handler source`), and `{"restore":true}`
// has put back what handlers changed.

import fs from 'node:fs';
import process from 'node:process';

import { Misuse, failure, text } from './failures.mjs';
import { Lines } from './lines.mjs';
import {
  Error, Map, ObjectPrototype, String, apply, awaitable, entries, getMap, getPrototypeOf, globals, hasOwn, isMap, isPromise, iterator, list,
  mendPromises, setMap, stepper, stringify,
} from './primordials.mjs';
import { Scope, isToReturn, stepOf } from './scope.mjs';
import { Surroundings } from './surroundings.mjs';
import { nameOf, toText } from './values.mjs';

const { closeSync, openSync, readFileSync, writeSync } = fs;
const now = performance.now.bind(performance);
const { reallyExit } = process;
/** What the machine lacks, or its disk, when a handler's file is read. */
const LACKS = { __proto__: null, EMFILE: true, ENFILE: true, ENOMEM: true, EIO: true, EAGAIN: true };
const DONE = { done: true, value: undefined };

class SystemExit extends Error {
  name = 'SystemExit';
}

/** Return a handler, which is loaded when it is called for the first time. */
async function loaded(version) {
  const known = getMap(handlers, version);
  if (known !== undefined) {
    enter(known);
    return known;
  }
  const { path, url, form, parameters, required, names } = lines.ask('handler source', [version]);
  const handler = { __proto__: null, url, form, parameters, names: scope.meanings(names), call: undefined };
  enter(handler);
  const module = await awaitable(imported(path, url));
  handler.call = module.handler ?? module.default;
  if (typeof handler.call !== 'function') throw new Misuse('protocol', 'it exports no handler');
  if (handler.call.length !== required) {
    throw new Misuse('protocol', `its handler takes ${handler.call.length} parameters, but was read as ${required}`);
  }
  setMap(handlers, version, handler);
  return handler;
}

/** Have the names of the scope mean what they do for a handler. */
function enter({ url, names }) {
  scope.current.url = url;
  scope.current.names = names;
}

async function imported(path, url) {
  try {
    if (!mendPromises()) throw new Misuse('protocol', 'no module can be loaded: Promise.prototype was changed for good');
    surroundings.watch(readFileSync(path, 'utf8'));
    return await awaitable(import(url));
  } catch (error) {
    throw typeof error?.code === 'string' && error.code in LACKS && error.path === path ? new Misuse('disk', error.message) : error;
  }
}

/** Run a call to its end. */
async function run(message) {
  const { request, invocation } = message;
  const deadline = now() / 1000 + invocation.remaining_s;
  invocation.remaining_s = () => deadline - now() / 1000;
  scope.current = { __proto__: null, request, invocation, url: undefined, names: undefined };
  const handler = await awaitable(loaded(message.handler));
  const next = inputs(handler, message);
  let count = 0;
  let takesMarker = message.call === 'map';
  for (let given = next(); given !== null; given = next()) {
    const made = apply(handler.call, undefined, given);
    const advance = steps(made) ?? steps(await (isPromise(made) ? awaitable(made) : made));
    for (;;) {
      let step = advance();
      // Most are plain objects, which is seen sooner than that something is a promise.
      if (getPrototypeOf(step) !== ObjectPrototype && isPromise(step)) step = await awaitable(step);
      if (step.done) {
        refuseLost(step.value);
        break;
      }
      if (takesMarker && isMarker(step.value)) say(step.value);
      else add(step.value, count++);
      takesMarker = false;
    }
  }
}

/** Return what gives the arguments of the function of a handler: once, or once a key; then null. */
function inputs({ form, parameters }, message) {
  switch (form) {
    case 'whole': return once([fieldsOf(message)]);
    case 'pair': return once([message.key, message.value]);
    case 'names': return once(named(parameters, message.arguments));
    case 'results': return once([results()]);
    default: return () => lines.group();
  }
}

function once(given) {
  let left = given;
  return () => {
    const taken = left;
    left = null;
    return taken;
  };
}

/** Return the arguments of a mapper as a Map. */
function fieldsOf(message) {
  if (isMap(message.arguments)) return message.arguments;
  const given = hasOwn(message, 'arguments') ? entries(message.arguments) : [[message.key, message.value]];
  const fields = new Map();
  for (let at = 0; at < given.length; at++) setMap(fields, given[at][0], given[at][1]);
  return fields;
}

function named(parameters, fields) {
  const given = list();
  for (let at = 0; at < parameters.length; at++) given[at] = hasOwn(fields, parameters[at]) ? fields[parameters[at]] : undefined;
  return given;
}

/** Keys with their values; each loop has them sent anew, and ends a loop before it. */
function results() {
  let loops = 0;
  const begin = () => {
    if (++loops > 1) lines.again();
    return loops;
  };
  return { [iterator]: () => loopOver(begin, () => loops) };
}

function loopOver(begin, latest) {
  let loop = 0;
  let isOver = false;
  return {
    next() {
      if (isOver) return { done: true, value: undefined };
      if (loop === 0) loop = begin();
      else if (loop !== latest()) throw new Error('results are read in one loop at a time');
      const value = lines.group() ?? undefined;
      isOver = value === undefined;
      return { done: isOver, value };
    },
    [iterator]() {
      return this;
    },
  };
}

/** Refuse what a generator returns beside what it yields: nobody would see it. */
function refuseLost(value) {
  if (value === undefined || value === null) return;
  throw new Misuse('protocol', `a handler returned ${nameOf(value)} in addition to its yields: yield it as well`);
}

/** Return what makes the steps of what a handler gave; undefined: it is a promise of that. */
function steps(given) {
  if (given === undefined) {
    throw new Misuse('protocol', 'a handler returned nothing: yield pairs, or return them ([] for none)');
  }
  if (given === null) return () => DONE;
  if (typeof given === 'object') {
    const advance = stepper(given);
    if (advance !== undefined) return advance;
    if (isPromise(given) || typeof given.then === 'function') return undefined;
  }
  if (isMarker(given)) throw new Misuse('protocol', 'a handler returned a marker alone: yield it, then pairs');
  throw new Misuse('protocol', `a handler yields or returns pairs, not ${nameOf(given)}`);
}

function isMarker(value) {
  return stepOf(value) !== undefined || isToReturn(value);
}

function say(marker) {
  const step = stepOf(marker);
  lines.say(step === undefined ? '{"return":true}' : `{"map":${stringify(step)}}`);
}

function add(pair, index) {
  if (isMarker(pair)) throw new Misuse('pair', `pair ${index} is not a key and a value: a marker (it comes once, first, from a mapper)`, index);
  try {
    lines.pair(pair);
  } catch (error) {
    throw new Misuse('pair', `pair ${index}: ${error.message}`, index);
  }
}

/** Put back what handlers of a request have changed that those of another one would find. */
async function restore() {
  const isOffered = (object, key) => object === globals && key in scope.offered;
  if (!(await awaitable(surroundings.restore(isOffered)))) leave();
  lines.discard(); // the request that it is from is over
}

function leave() {
  lines.flush();
  apply(reallyExit, process, [0]);
}

/** End the process, which handlers have left unable to serve: nobody is to wait for it. */
function die(error) {
  try {
    writeSync(2, `what node needs to answer was changed: ${text(() => error?.message ?? error)}\n`);
  } finally {
    apply(reallyExit, process, [1]);
  }
}

// Author code has other streams than the protocol: nothing to read, and the standard error.
const descriptors = [openSync('/proc/self/fd/0', 'r'), openSync('/proc/self/fd/1', 'w')];
closeSync(0);
openSync('/dev/null', 'r');
closeSync(1);
openSync('/proc/self/fd/2', 'w');

const lines = new Lines(...descriptors);
const scope = new Scope(lines);
const handlers = new Map();
Error.stackTraceLimit = 50;
process.exit = (code) => {
  throw new SystemExit(String(code ?? process.exitCode ?? 0));
};
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => scope.write(`${event}: ${error?.stack ?? error}\n`));
}
// A handler may await what nothing on the event loop will bring; then its time limit ends it.
setInterval(() => {}, 2 ** 30);
const surroundings = new Surroundings();

/** Take a call, and answer it. */
async function serve(message) {
  const isRestore = hasOwn(message, 'restore');
  const hasGroups = !isRestore && message.call !== 'map';
  let told = null;
  try {
    await awaitable(isRestore ? restore() : run(message));
  } catch (error) {
    told = failure(error, scope.current?.url);
  }
  lines.end(hasGroups, told === null ? '{"end":true}' : `{"error":${toText(told)}}`);
  if (told?.kind === 'disk') leave(); // node remembers that it could not read a module
  scope.current = null;
}

try {
  for (;;) await awaitable(serve(lines.next()));
} catch (error) {
  die(error);
}
