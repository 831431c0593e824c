// Objects as they were, to be put back.

import {
  ObjectPrototype, Set, add, addAll, addSet, apply, deleteProperty, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, hasSet, is,
  isExtensible, list, ownKeys,
} from './primordials.mjs';

/** Compare a property; its value alone is read in half the time. */
function isSame(object, key, known, isThorough) {
  if (!isThorough && known.get === undefined && known.set === undefined) return is(object[key], known.value);
  const found = getOwnPropertyDescriptor(object, key);
  return found !== undefined && is(found.value, known.value) && found.get === known.get && found.set === known.set
    && found.writable === known.writable && found.enumerable === known.enumerable && found.configurable === known.configurable;
}

/** The own properties of an object as they were. */
class Known {
  object;
  parent;
  isExtensible;
  keys;
  before;

  constructor(object) {
    this.object = object;
    this.parent = getPrototypeOf(object);
    this.isExtensible = isExtensible(object);
    this.keys = ownKeys(object);
    this.before = ownKeys(object); // as long; no setter is called for what an array has
    for (let at = 0; at < this.keys.length; at++) this.before[at] = getOwnPropertyDescriptor(object, this.keys[at]);
  }

  /** Put back what is another thing now; false: it cannot be. */
  restore(isOurs, isThorough) {
    const { object, keys, before } = this;
    if (getPrototypeOf(object) !== this.parent || isExtensible(object) !== this.isExtensible) return false;
    for (let at = 0; at < keys.length; at++) {
      if (isSame(object, keys[at], before[at], isThorough)) continue;
      if (!defineProperty(object, keys[at], before[at])) return false;
    }
    const found = ownKeys(object);
    if (found.length === keys.length) return true;
    const expected = new Set();
    for (let at = 0; at < keys.length; at++) addSet(expected, keys[at]);
    for (let at = 0; at < found.length; at++) {
      if (!hasSet(expected, found[at]) && !isOurs(object, found[at]) && !deleteProperty(object, found[at])) return false;
    }
    return true;
  }
}

/** A function that makes nothing: all that can be done to it is to add to it. */
class Plain {
  object;
  count;

  constructor(object) {
    this.object = object;
    this.count = ownKeys(object).length;
  }

  restore(_isOurs, isThorough) {
    return !isThorough || ownKeys(this.object).length === this.count;
  }
}

/** A setting of node behind a getter and a setter. */
class Setting {
  object;
  get;
  set;
  before;

  constructor(object, { get, set }) {
    this.object = object;
    this.get = get;
    this.set = set;
    this.before = apply(get, object, []);
  }

  restore() {
    if (!is(apply(this.get, this.object, []), this.before)) apply(this.set, this.object, [this.before]);
    return true;
  }
}

/** Return all that is reached from objects as it is: functions, what they make, and tables of both.
 * What was ``seen`` is left out. Of the exports of a module, getters are read, too. */
export function reachable(roots, seen, exports = null) {
  const found = list();
  const todo = list();
  addAll(todo, roots);
  while (todo.length > 0) {
    const object = todo[todo.length - 1];
    todo.length--;
    if (object === null || hasSet(seen, object)) continue;
    addSet(seen, object);
    add(found, typeof object === 'function' && !object.prototype ? new Plain(object) : new Known(object));
    add(todo, getPrototypeOf(object));
    const keys = ownKeys(object);
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at];
      const known = getOwnPropertyDescriptor(object, key);
      const isRead = known.get && exports !== null && (object === exports || typeof object === 'function');
      const value = isRead ? object[key] : known.value;
      if (typeof value === 'function' || isTable(value) || (key === 'prototype' && value)) add(todo, value);
      else if (isRead && known.set) add(found, new Setting(object, known));
    }
  }
  return found;
}

/** Tell whether a value has nothing but its properties; what has more changes by itself. */
function isTable(value) {
  if (typeof value !== 'object' || value === null) return false;
  const parent = getPrototypeOf(value);
  return parent === null || parent === ObjectPrototype;
}
