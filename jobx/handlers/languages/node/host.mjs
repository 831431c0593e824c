// Runs JavaScript handlers for an executor: `node host.mjs DESCRIPTOR`.
//
// The executor asks, this answers, one frame each. While a handler runs it may ask back.
//
//   executor        load   version, path, form, parameters, required, names
//                   start  run, version, request, invocation, given, groups, last
//                   next   run, remaining_s
//                   close  run
//                   restore
//   answers         done
//                   spoilt (to restore: this process is to be replaced)
//                   batch  marker (text, null: none), items (packed, one after the other), done
//                   fail   kind, type, message, frames, pair
//   meanwhile       output bytes; no answer
//                   log    level, message; no answer
//                   call   name, args (packed)  answered by answer (value) or raise (type, message)
//                   more   again                answered by groups (groups, last)

import { pathToFileURL } from 'node:url';

import { Port } from './port.mjs';
import { MapTo, Scope, ToReturn } from './scope.mjs';
import { Surroundings } from './surroundings.mjs';
import { nameOf, Packer, unpackAll } from './values.mjs';

const BATCH_PAIRS = 1000;
const BATCH_BYTES = 1 << 18;
const FRAME = /^\s*at (?:async )?(?:(.*?) \()?(file:\/\/[^\s:]+):(\d+):\d+\)?$/;
const HEADLINE = /^(file:\/\/[^\s:]+):(\d+)$/;

/** What the machine lacks, or its disk, when a handler's file is read. */
const LACKS = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EAGAIN']);

/** A handler that breaks its contract, or a pair that is not one. */
class Misuse extends Error {
  constructor(kind, message, pair = null) {
    super(message);
    Object.assign(this, { kind, pair, name: kind === 'pair' ? 'PairError' : 'ProtocolError' });
  }
}

/** What is no author's failure: it is tried again. */
class StoreUnavailable extends Error {
  name = 'StoreUnavailable';
}

class SystemExit extends Error {
  name = 'SystemExit';
}

const port = new Port(Number(process.argv[2]));
const scope = new Scope(port);
const handlers = new Map();
const runs = new Map();
const packer = new Packer();

const SERVE = { load, start, next: (frame) => advance(resume(frame), frame.run), close, restore };

async function load({ version, path, form, parameters, required, names }) {
  scope.offer(names);
  const meanings = Object.entries(names).map(([name, known]) => [name, scope.meaning(name, known)]);
  const handler = { form, parameters, names: Object.fromEntries(meanings) };
  scope.current = { names: handler.names };
  const module = await import(pathToFileURL(path)).catch((error) => {
    throw LACKS.has(error?.code) && error.path === path ? new StoreUnavailable(error.message) : error;
  });
  handler.call = module.handler ?? module.default;
  if (typeof handler.call !== 'function') throw new Misuse('protocol', 'it exports no handler');
  if (handler.call.length !== required) {
    throw new Misuse('protocol', `its handler takes ${handler.call.length} parameters, but was read as ${required}`);
  }
  handlers.set(version, handler);
  return { t: 'done' };
}

function start(frame) {
  const handler = handlers.get(frame.version);
  const { request, invocation } = frame;
  const run = { count: 0, isMapper: frame.given !== null, names: handler.names, request, invocation };
  runs.set(frame.run, run);
  resume({ run: frame.run, remaining_s: invocation.remaining_s });
  invocation.remaining_s = () => run.deadline - performance.now() / 1000;
  run.iterator = begin(handler, frame);
  return advance(run, frame.run);
}

function resume({ run, remaining_s }) {
  const resumed = runs.get(run);
  resumed.deadline = performance.now() / 1000 + remaining_s;
  scope.current = resumed;
  return resumed;
}

function begin({ form, call, parameters }, frame) {
  switch (form) {
    case 'whole': return iterate(call(new Map(frame.given)));
    case 'pair': return iterate(call(...frame.given[0]));
    case 'names': {
      const fields = new Map(frame.given);
      return iterate(call(...parameters.map((name) => fields.get(name))));
    }
    case 'results': return iterate(call(results(frame)));
    default: return eachKey(call, results(frame));
  }
}

/** Call a handler once a key; an iterator by hand, for one that is async costs far more a pair. */
function eachKey(call, grouped) {
  const keys = grouped[Symbol.iterator]();
  let inner = [][Symbol.iterator]();
  const next = () => {
    for (;;) {
      const step = inner.next();
      if (step instanceof Promise) return step.then((settled) => (settled.done ? following(settled.value) : settled));
      if (!step.done) return step;
      refuseLost(step.value);
      const key = keys.next();
      if (key.done) return key;
      inner = iterate(call(...key.value));
    }
  };
  const following = (lost) => {
    refuseLost(lost);
    inner = [][Symbol.iterator]();
    return next();
  };
  return { next, return: () => inner.return?.() };
}

/** Refuse what a generator returns beside what it yields: nobody would see it. */
function refuseLost(value) {
  if (value === undefined || value === null) return;
  throw new Misuse('protocol', `a handler returned ${nameOf(value)} beside its yields: yield it as well`);
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

/** Keys with their values; each loop asks the executor for them anew, and ends a loop before it. */
function results(frame) {
  let loops = 0;
  return {
    *[Symbol.iterator]() {
      const loop = ++loops;
      let part = loop === 1 ? frame : port.ask({ t: 'more', again: true });
      for (let values = []; ;) {
        for (const [key, some, isLast] of unpackAll(part.groups)) {
          values = values.length === 0 ? some : values.concat(some);
          if (!isLast) continue;
          yield [key, values];
          if (loop !== loops) throw new Error('results are read in one loop at a time');
          values = [];
        }
        if (part.last) return;
        part = port.ask({ t: 'more', again: false });
      }
    },
  };
}

/** Run a handler for its next pairs. */
async function advance(run, number) {
  const batch = { t: 'batch', marker: null, done: false };
  for (let count = 0; count < BATCH_PAIRS && packer.size < BATCH_BYTES; count++) {
    let step = run.iterator.next();
    if (step instanceof Promise) step = await step;
    if (step.done) {
      refuseLost(step.value);
      batch.done = true;
      runs.delete(number);
      break;
    }
    if (run.isMapper && !run.hasBegun && isMarker(step.value)) batch.marker = step.value.step ?? '';
    else add(run, step.value);
    run.hasBegun = true;
  }
  return { ...batch, items: packer.take() };
}

function isMarker(value) {
  return value instanceof MapTo || value instanceof ToReturn;
}

function add(run, pair) {
  const index = run.count++;
  if (isMarker(pair)) throw new Misuse('pair', `pair ${index} is not a key and a value: a marker (it comes once, first, from a mapper)`, index);
  try {
    packer.addAll(pair);
  } catch (error) {
    throw new Misuse('pair', `pair ${index}: ${error.message}`, index);
  }
}

async function close({ run }) {
  const closed = runs.get(run);
  runs.delete(run);
  scope.current = closed ?? null;
  await closed?.iterator?.return?.();
  return { t: 'done' };
}

/** Put back what handlers of a request have changed that those of another one would find. */
async function restore() {
  const isWhole = await surroundings.restore((object, key) => object === globalThis && scope.offered.has(key));
  port.discard(); // the request that it is from is over
  return { t: isWhole ? 'done' : 'spoilt' };
}

function failure(error) {
  const known = error instanceof Error;
  const ours = error instanceof StoreUnavailable ? 'disk' : 'author';
  const [kind, pair] = error instanceof Misuse ? [error.kind, error.pair] : [ours, null];
  const type = known ? text(error.name) : text(nameOf(error)).replace(/^an? /, '');
  return { t: 'fail', kind, type, message: text(known ? error.message : error), frames: frames(error), pair };
}

function text(value) {
  try {
    return String(value).toWellFormed();
  } catch {
    return '(its message cannot be told)';
  }
}

/** Return where an error comes from, outermost first: path, line, function. */
function frames(error) {
  const lines = error instanceof Error ? String(error.stack).split('\n') : [];
  const found = lines.map((line) => FRAME.exec(line)).filter(Boolean);
  if (found.length > 0) return found.reverse().map(([, name, url, line]) => [url, Number(line), text(name ?? '')]);
  const headline = HEADLINE.exec(lines[0] ?? '');
  return headline ? [[headline[1], Number(headline[2]), '']] : [];
}

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

for (let frame; (frame = port.read()) !== null;) {
  try {
    port.write(await SERVE[frame.t](frame));
  } catch (error) {
    packer.take();
    runs.delete(frame.run);
    port.write(failure(error));
  }
  scope.current = null;
}
process.reallyExit(0);
