// Objects as they were, to be put back.

const { apply, defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
const { isExtensible, is } = Object;
const { Set: Names } = globalThis;

/** Compare a property; its value alone is read in half the time. */
function isSame(object, key, known, isThorough) {
  if (!isThorough && known.get === undefined && known.set === undefined) return is(object[key], known.value);
  const found = getOwnPropertyDescriptor(object, key);
  return found !== undefined && is(found.value, known.value) && found.get === known.get && found.set === known.set
    && found.writable === known.writable && found.enumerable === known.enumerable && found.configurable === known.configurable;
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
  restore(isOurs, isThorough) {
    const { object, keys, before } = this;
    if (getPrototypeOf(object) !== this.parent || isExtensible(object) !== this.isExtensible) return false;
    for (let at = 0; at < keys.length; at++) {
      if (isSame(object, keys[at], before[at], isThorough)) continue;
      if (!defineProperty(object, keys[at], before[at])) return false;
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

/** A function that makes nothing: all that can be done to it is to add to it. */
class Plain {
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
  constructor(object, { get, set }) {
    Object.assign(this, { object, get, set, before: apply(get, object, []) });
  }

  restore() {
    if (!is(apply(this.get, this.object, []), this.before)) apply(this.set, this.object, [this.before]);
    return true;
  }
}

/** Return all that is reached from objects as it is: functions, what they make, and tables of both.
 * What was ``seen`` is left out. Of the exports of a module, getters are read, too. */
export function reachable(roots, seen, exports = null) {
  const [found, todo] = [[], [...roots]];
  while (todo.length > 0) {
    const object = todo.pop();
    if (object === null || seen.has(object)) continue;
    seen.add(object);
    found.push(typeof object === 'function' && !object.prototype ? new Plain(object) : new Known(object));
    todo.push(getPrototypeOf(object));
    for (const key of ownKeys(object)) {
      const known = getOwnPropertyDescriptor(object, key);
      const isRead = known.get && exports !== null && (object === exports || typeof object === 'function');
      const value = isRead ? object[key] : known.value;
      if (typeof value === 'function' || isTable(value) || (key === 'prototype' && value)) todo.push(value);
      else if (isRead && known.set) found.push(new Setting(object, known));
    }
  }
  return found;
}

/** Tell whether a value has nothing but its properties; what has more changes by itself. */
function isTable(value) {
  if (typeof value !== 'object' || value === null) return false;
  const parent = getPrototypeOf(value);
  return parent === null || parent === Object.prototype;
}
