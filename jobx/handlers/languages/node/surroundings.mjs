// What handlers of a process share, put back as it was: built-in objects, globals, the environment.

const { apply, defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
const { isExtensible, is } = Object;
const { setImmediate, Promise, Set: Names } = globalThis;
const { chdir, cwd, getActiveResourcesInfo, listeners, on, removeAllListeners } = process;
const LISTENED = ['uncaughtException', 'unhandledRejection', 'exit', 'beforeExit', 'warning'];

// Standard streams, and what is about to end.
const HARMLESS = ['PipeWrap', 'TTYWrap', 'FileHandle', 'CloseReq'];

/** How much goes on: timers, sockets, and so on. */
function active() {
  return apply(getActiveResourcesInfo, process, []).filter((name) => !HARMLESS.includes(name)).length;
}

/** Objects that all code of a process has in common. */
function* shared() {
  yield globalThis;
  yield process;
  for (const name of ownKeys(globalThis)) {
    const { value } = getOwnPropertyDescriptor(globalThis, name);
    if (typeof value !== 'function' && name !== 'JSON' && name !== 'Math' && name !== 'Reflect' && name !== 'Atomics'
      && name !== 'console') continue;
    yield value;
    if (value.prototype) yield value.prototype;
  }
  yield getPrototypeOf(Uint8Array);
  yield getPrototypeOf(Uint8Array).prototype;
  for (const made of [[][Symbol.iterator](), new Map().entries(), new Set().values(), ''[Symbol.iterator](), function* () {},
    async function* () {}, async () => {}]) {
    yield getPrototypeOf(made);
    if (getPrototypeOf(made).prototype) yield getPrototypeOf(made).prototype;
  }
  yield getPrototypeOf(getPrototypeOf([][Symbol.iterator]()));
}

/** A value is read as it stands, which takes a third of the time of asking for its property. */
function isSame(object, key, known) {
  if (known.get === undefined && known.set === undefined) return is(object[key], known.value);
  const found = getOwnPropertyDescriptor(object, key);
  return found !== undefined && found.get === known.get && found.set === known.set;
}

/** The own properties of an object as they were. */
class Known {
  constructor(object) {
    this.object = object;
    this.parent = getPrototypeOf(object);
    this.isExtensible = isExtensible(object);
    this.keys = ownKeys(object);
    this.before = this.keys.map((key) => getOwnPropertyDescriptor(object, key));
  }

  /** Put back what is another thing now; false: it cannot be. */
  restore(isOurs) {
    const { object, keys, before } = this;
    if (getPrototypeOf(object) !== this.parent || isExtensible(object) !== this.isExtensible) return false;
    for (let at = 0; at < keys.length; at++) {
      const known = before[at];
      if (!isSame(object, keys[at], known) && !defineProperty(object, keys[at], known)) return false;
    }
    const found = ownKeys(object);
    if (found.length === keys.length) return true;
    const expected = new Names(keys);
    for (let at = 0; at < found.length; at++) {
      if (!expected.has(found[at]) && !isOurs(object, found[at]) && !deleteProperty(object, found[at])) return false;
    }
    return true;
  }
}

/** Everything that is looked after. It is made when all of the process's own is in place. */
export class Surroundings {
  #known = [...new Set(shared())].map((object) => new Known(object));
  #environment = { ...process.env };
  #folder = process.cwd();
  #listeners = LISTENED.map((event) => [event, process.listeners(event)]);
  #active = active();

  /** Put back what handlers have changed; false: something goes on, or cannot be put back. */
  async restore(isOurs) {
    await new Promise((resolve) => setImmediate(resolve)); // what nobody waits for is told now
    for (let at = 0; at < this.#known.length; at++) {
      if (!this.#known[at].restore(isOurs)) return false;
    }
    this.#restoreProcess();
    return active() <= this.#active;
  }

  #restoreProcess() {
    const { env } = process;
    for (const name of ownKeys(env)) if (!(name in this.#environment)) delete env[name];
    for (const name of ownKeys(this.#environment)) {
      if (env[name] !== this.#environment[name]) env[name] = this.#environment[name];
    }
    if (apply(cwd, process, []) !== this.#folder) apply(chdir, process, [this.#folder]);
    process.exitCode = undefined;
    for (const [event, before] of this.#listeners) {
      const found = apply(listeners, process, [event]);
      if (found.length === before.length && found.every((one, at) => one === before[at])) continue;
      apply(removeAllListeners, process, [event]);
      for (const one of before) apply(on, process, [event, one]);
    }
  }
}
