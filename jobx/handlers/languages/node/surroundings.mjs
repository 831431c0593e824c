// What handlers of a process share, put back as it was. Where something goes on, or cannot be put
// back, the process is to end: the next request gets another one.

import EventEmitter from 'node:events';
import { builtinModules, createRequire, syncBuiltinESMExports as sync } from 'node:module';

import { reachable } from './known.mjs';
import { isLasting, note, noticeSettings, noticeTimers, noticeUnseen } from './lasting.mjs';
import {
  Promise, addAll, apply, awaitable, defineProperty, deleteProperty, exec, getOwnPropertyDescriptor, getPrototypeOf,
  hasSet, isMap, list, ownKeys,
} from './primordials.mjs';

const { setImmediate, performance } = globalThis;
const now = performance.now.bind(performance);
const { chdir, cwd, getActiveResourcesInfo, umask } = process;
const { eventNames, on, rawListeners, removeAllListeners } = process;
const { clearMarks, clearMeasures, clearResourceTimings } = performance;
const { clear } = Map.prototype;
const require = createRequire(import.meta.url);
const syncExports = sync; // author code gets another one

const OWN_MASK = 0o077;
/** Shortest time between two comparisons of attributes, and of what was added to functions. */
const THOROUGH_MS = 100;
// Standard streams, and what is about to end.
const HARMLESS = ['PipeWrap', 'TTYWrap', 'FileHandle', 'CloseReq'];
/** Modules of functions and tables, which can be compared; others have more than that. */
const COMPARED = ['assert', 'assert/strict', 'buffer', 'child_process', 'console', 'crypto', 'events', 'fs', 'fs/promises',
  'os', 'path', 'path/posix', 'perf_hooks', 'process', 'querystring', 'readline', 'stream', 'stream/promises', 'string_decoder',
  'timers', 'timers/promises', 'url', 'util', 'util/types', 'zlib'];
const BUILTIN = [...builtinModules]; // author code can change the other one
const IMPORTED = /\b(?:from|import)\s*(?:\(\s*)?['"`](?:node:)?([^'"`]+)['"`]/g;
/** Words of a source that may reach a module which it does not name. */
const OPEN = /\b(?:eval|Function|createRequire|getBuiltinModule)\b|\bimport\s*\(\s*[^'"`\s]/;
const CRYPTO = /\bcrypto\b/;
/** Entries of node's list of what it has loaded that author code may have asked for. */
const PUBLIC = /^NativeModule (?!internal\/(?!crypto\/webcrypto|deps\/undici))/;

/** How much goes on: timers, sockets, and so on. */
function active() {
  return apply(getActiveResourcesInfo, process, []).filter((name) => !HARMLESS.includes(name)).length;
}

/** Tell how much node has loaded, and how much of it for author code. */
function loaded() {
  const names = process.moduleLoadList;
  let own = 0;
  for (let at = 0; at < names.length; at++) if (exec(PUBLIC, names[at]) !== null) own++;
  return { all: names.length, own };
}

/** Objects from which all is reached that the language and the process give to all code. */
function intrinsics() {
  const made = [[][Symbol.iterator](), new Map().entries(), new Set().values(), ''[Symbol.iterator](), ''.matchAll(/ /g),
    function* () {}, async function* () {}, async () => {}, performance, new URLSearchParams().entries()];
  const parts = globalThis.Intl?.Segmenter && new Intl.Segmenter().segment('');
  if (parts) made.push(parts, parts[Symbol.iterator]());
  return [globalThis, console, performance, ...made.map(getPrototypeOf)];
}

/** The listeners of an emitter as they were, and its own functions. */
class Emitter {
  constructor(object) {
    this.object = object;
    this.listeners = new Map(this.#names().map((name) => [name, apply(rawListeners, object, [name])]));
    this.functions = new Map(this.#functions());
  }

  /** Names of events, first those that tell of the others. */
  #names() {
    return ['newListener', 'removeListener', ...apply(eventNames, this.object, [])];
  }

  #functions() {
    const own = ownKeys(this.object).map((key) => [key, getOwnPropertyDescriptor(this.object, key).value]);
    return own.filter(([, value]) => typeof value === 'function');
  }

  restore() {
    const { object, listeners, functions } = this;
    for (const name of new Set([...this.#names(), ...listeners.keys()])) {
      const [found, before] = [apply(rawListeners, object, [name]), listeners.get(name) ?? []];
      if (found.length === before.length && found.every((one, at) => one === before[at])) continue;
      apply(removeAllListeners, object, [name]);
      for (const one of before) apply(on, object, [name, one]);
    }
    for (const [key] of this.#functions()) if (!functions.has(key)) deleteProperty(object, key);
    for (const [key, value] of functions) defineProperty(object, key, { value });
  }
}

/** A standard stream, which is not to hold back what is written, and takes text as it did. */
class Stream {
  constructor(object) {
    Object.assign(this, { state: object._writableState, object });
    this.encoding = this.state.defaultEncoding;
  }

  get isSame() {
    const { object, state, encoding } = this;
    return object._writableState === state && state.corked === 0 && state.defaultEncoding === encoding;
  }
}

/** Everything that is looked after. It is made when all of the process's own is in place. */
export class Surroundings {
  #seen = new Set();
  #environment = { ...process.env };
  #folder = process.cwd();
  #title = process.title;
  #active = active();
  #emitters = [];
  #streams = [process.stdout, process.stderr].map((one) => new Stream(one));
  /** What was counted, and since when it is timed. */
  #tables = ownKeys(console).map((key) => console[key]).filter(isMap);
  #known = list();
  #own = list();
  #loaded = { all: 0, own: 0 };
  #thoroughAt = 0;

  constructor() {
    noticeUnseen(require('node:module'));
    noticeTimers(require('node:timers/promises')); // also reached from other modules
    this.#emitters = [process, process.stdout, process.stderr].map((one) => new Emitter(one));
    addAll(this.#known, reachable(intrinsics(), this.#seen));
    addAll(this.#known, reachable([EventEmitter], this.#seen, EventEmitter));
    addAll(this.#own, reachable([process, process.argv, process.execArgv], this.#seen));
    if (process.report) addAll(this.#own, reachable([process.report], this.#seen, process.report));
    syncExports();
    this.#loaded = loaded();
  }

  /** Look after the modules of node that a handler's source may reach, before it is loaded. */
  watch(source) {
    const named = namesIn(source);
    let isOpen = exec(OPEN, source) !== null;
    for (let at = 0; at < named.length; at++) {
      isOpen = isOpen || !has(BUILTIN, named[at]);
      this.#watchModule(named[at]);
    }
    for (let at = 0; isOpen && at < COMPARED.length; at++) {
      if (has(process.moduleLoadList, `NativeModule ${COMPARED[at]}`)) this.#watchModule(COMPARED[at]);
    }
    if (exec(CRYPTO, source) !== null) this.#compare(globalThis.crypto);
    syncExports();
    this.#loaded = loaded();
  }

  #watchModule(name) {
    if (has(COMPARED, name)) this.#compare(require(name));
    else if (has(BUILTIN, name)) note();
  }

  #compare(exports) {
    if (hasSet(this.#seen, exports)) return;
    noticeSettings(exports);
    addAll(this.#known, reachable([exports], this.#seen, exports));
  }

  /** Put back what handlers have changed; false: something goes on, or cannot be put back. */
  async restore(isOurs) {
    await awaitable(new Promise((resolve) => setImmediate(resolve))); // what nobody waits for is told now
    const isThorough = now() >= this.#thoroughAt;
    if (isThorough) this.#thoroughAt = now() + THOROUGH_MS;
    if (!restoreAll(this.#known, isOurs, isThorough)) return false;
    for (const emitter of this.#emitters) emitter.restore();
    if (!restoreAll(this.#own, isOurs, isThorough)) return false;
    this.#restoreProcess();
    this.#forget();
    const isWhole = active() <= this.#active && !isLasting() && this.#hasLoadedAll();
    apply(exec, /(?:)/, ['']); // RegExp.$1 and others tell of the last match
    return isWhole && this.#streams.every((one) => one.isSame);
  }

  #forget() {
    for (const clearAll of [clearMarks, clearMeasures, clearResourceTimings]) apply(clearAll, performance, []);
    for (const table of this.#tables) apply(clear, table, []);
  }

  #hasLoadedAll() {
    if (process.moduleLoadList.length === this.#loaded.all) return true;
    const { own } = this.#loaded;
    this.#loaded = loaded();
    return this.#loaded.own === own;
  }

  #restoreProcess() {
    const { env } = process;
    for (const name of ownKeys(env)) if (!(name in this.#environment)) delete env[name];
    for (const name of ownKeys(this.#environment)) {
      if (env[name] !== this.#environment[name]) env[name] = this.#environment[name];
    }
    if (apply(cwd, process, []) !== this.#folder) apply(chdir, process, [this.#folder]);
    apply(umask, process, [OWN_MASK]);
    if (process.title !== this.#title) process.title = this.#title;
    process.exitCode = undefined;
    if (process._exiting) process._exiting = false;
  }
}

/** Return the names of the modules that a source imports. */
function namesIn(source) {
  const names = list();
  for (let found = exec(IMPORTED, source); found !== null; found = exec(IMPORTED, source)) names[names.length] = found[1];
  return names;
}

function has(names, name) {
  for (let at = 0; at < names.length; at++) if (names[at] === name) return true;
  return false;
}

function restoreAll(known, isOurs, isThorough) {
  for (let at = 0; at < known.length; at++) if (!known[at].restore(isOurs, isThorough)) return false;
  return true;
}
