// Runs the JavaScript handlers of an executor: `node prelude.mjs`.
//
// It is a program of the line protocol, see docs/languages.md. Beyond what is there, a call names
// its handler by the version, which is asked for once (`handler source`), and `{"restore":true}`
// has put back what handlers changed.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { Lines } from './lines.mjs';
import { MapTo, Scope, ToReturn } from './scope.mjs';
import { Surroundings } from './surroundings.mjs';
import { nameOf } from './values.mjs';

const { stringify } = JSON;
const now = performance.now.bind(performance);
const { has } = Set.prototype;
const { apply } = Reflect;
const { hasOwn } = Object;
const { reallyExit } = process;
const FRAME = /^\s*at (?:async )?(?:(.*?) \()?(file:\/\/[^\s:]+):(\d+):\d+\)?$/;
const HEADLINE = /^(file:\/\/[^\s:]+):(\d+)$/;

/** What the machine lacks, or its disk, when a handler's file is read. */
const LACKS = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EAGAIN']);

/** A handler that breaks its contract, a pair that is not one, or what the machine lacks. */
class Misuse extends Error {
  constructor(kind, message, pair) {
    super(message);
    Object.assign(this, { kind, pair, name: NAMES[kind] });
  }
}
const NAMES = { disk: 'StoreUnavailable', pair: 'PairError', protocol: 'ProtocolError' };

class SystemExit extends Error {
  name = 'SystemExit';
}

/** Return a handler, which is loaded when it is called for the first time. */
async function loaded(version) {
  if (handlers.has(version)) return handlers.get(version);
  const { path, form, parameters, required, names } = lines.ask('handler source', [version]);
  const handler = { url: pathToFileURL(path).href, form, parameters, names: scope.meanings(names) };
  Object.assign(scope.current, handler);
  const module = await imported(path, handler.url);
  handler.call = module.handler ?? module.default;
  if (typeof handler.call !== 'function') throw new Misuse('protocol', 'it exports no handler');
  if (handler.call.length !== required) {
    throw new Misuse('protocol', `its handler takes ${handler.call.length} parameters, but was read as ${required}`);
  }
  handlers.set(version, handler);
  return handler;
}

async function imported(path, url) {
  try {
    surroundings.watch(readFileSync(path, 'utf8'));
    return await import(url);
  } catch (error) {
    throw LACKS.has(error?.code) && error.path === path ? new Misuse('disk', error.message) : error;
  }
}

/** Run a call to its end. */
async function run(message) {
  const { request, invocation } = message;
  const deadline = now() / 1000 + invocation.remaining_s;
  invocation.remaining_s = () => deadline - now() / 1000;
  scope.current = { request, invocation };
  const handler = await loaded(message.handler);
  Object.assign(scope.current, handler);
  let [count, takesMarker] = [0, message.call === 'map'];
  for (const given of inputs(handler, message)) {
    const iterator = iterate(handler.call(...given));
    for (;;) {
      let step = iterator.next();
      if (step instanceof Promise) step = await step;
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

/** Yield what the function of a handler is called with: once, or once a key. */
function inputs({ form, parameters }, message) {
  const fields = hasOwn(message, 'arguments') ? fieldsOf(message.arguments) : new Map([[message.key, message.value]]);
  switch (form) {
    case 'whole': return [[fields]];
    case 'pair': return fields;
    case 'names': return [parameters.map((name) => fields.get(name))];
    case 'results': return [[results()]];
    default: return lines.groups();
  }
}

function fieldsOf(given) {
  return given instanceof Map ? given : new Map(Object.entries(given));
}

/** Keys with their values; each loop has them sent anew, and ends a loop before it. */
function results() {
  let loops = 0;
  return {
    *[Symbol.iterator]() {
      const loop = ++loops;
      if (loop > 1) lines.again();
      for (const group of lines.groups()) {
        yield group;
        if (loop !== loops) throw new Error('results are read in one loop at a time');
      }
    },
  };
}

/** Refuse what a generator returns beside what it yields: nobody would see it. */
function refuseLost(value) {
  if (value === undefined || value === null) return;
  throw new Misuse('protocol', `a handler returned ${nameOf(value)} in addition to its yields: yield it as well`);
}

/** Return what a handler gave as an iterator, sync or async. */
function iterate(given) {
  if (given === undefined) {
    throw new Misuse('protocol', 'a handler returned nothing: yield pairs, or return them ([] for none)');
  }
  if (given === null) return [][Symbol.iterator]();
  if (typeof given === 'object') {
    if (given[Symbol.asyncIterator]) return given[Symbol.asyncIterator]();
    if (given[Symbol.iterator]) return given[Symbol.iterator]();
    if (typeof given.then === 'function') return later(given);
  }
  if (isMarker(given)) throw new Misuse('protocol', 'a handler returned a marker alone: yield it, then pairs');
  throw new Misuse('protocol', `a handler yields or returns pairs, not ${nameOf(given)}`);
}

async function* later(promise) {
  const given = await promise;
  return yield* { [Symbol.asyncIterator]: () => iterate(given) };
}

function isMarker(value) {
  return value instanceof MapTo || value instanceof ToReturn;
}

function say(marker) {
  lines.say(marker instanceof MapTo ? `{"map":${stringify(marker.step)}}` : '{"return":true}');
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
  const isOffered = (object, key) => object === globalThis && apply(has, scope.offered, [key]);
  if (!(await surroundings.restore(isOffered))) leave();
  lines.discard(); // the request that it is from is over
}

function leave() {
  lines.flush();
  process.reallyExit(0);
}

/** End the process, which handlers have left unable to serve: nobody is to wait for it. */
function die(error) {
  try {
    writeSync(2, `what node needs to answer was changed: ${text(() => error?.message ?? error)}\n`);
  } finally {
    apply(reallyExit, process, [1]);
  }
}

function failure(error) {
  const isMisuse = is(error, Misuse);
  const isKnown = is(error, Error);
  const type = isKnown ? text(() => error.name) : text(() => nameOf(error)).replace(/^an? /, '');
  return {
    kind: isMisuse ? error.kind : 'author',
    type,
    message: text(() => (isKnown ? error.message : error)),
    trace: isKnown ? trace(error) : [],
    pair: isMisuse ? error.pair : undefined,
  };
}

/** Tell whether an error is of a class; one may refuse to tell what it is. */
function is(error, known) {
  try {
    return error instanceof known;
  } catch {
    return false;
  }
}

function text(read) {
  try {
    return String(read()).toWellFormed();
  } catch {
    return '(it cannot be shown)';
  }
}

/** Return where in the handler an error comes from, outermost first: line, function. */
function trace(error) {
  const stack = text(() => error.stack).split('\n');
  const found = stack.map((line) => FRAME.exec(line)).filter((frame) => frame?.[2] === scope.current.url);
  if (found.length > 0) return found.reverse().map(([, name, , line]) => [Number(line), text(() => name ?? '<module>')]);
  const headline = HEADLINE.exec(stack[0] ?? '');
  return headline?.[1] === scope.current.url ? [[Number(headline[2]), '<module>']] : [];
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
    await (isRestore ? restore() : run(message));
  } catch (error) {
    told = failure(error);
  }
  lines.end(hasGroups, told === null ? '{"end":true}' : `{"error":${stringify(told)}}`);
  if (told?.kind === 'disk') leave(); // node remembers that it could not read a module
  scope.current = null;
}

try {
  for (;;) await serve(lines.next());
} catch (error) {
  die(error);
}
