// Values of JobX as msgpack bytes, both ways. See "Values" under JavaScript in docs/languages.md.

const MAX_DEPTH = 64;
const EXT_TIMESTAMP = -1;
const EXT_BIG_INT = 1;
const EXT_DECIMAL = 2;

/** A decimal number as its text: JavaScript has none of its own. */
export class Decimal {
  constructor(text) {
    this.text = String(text);
  }

  toString() {
    return this.text;
  }
}

/** Packs values one after the other into a buffer that grows. */
export class Packer {
  #bytes = Buffer.allocUnsafe(1 << 16);
  size = 0;

  /** Append a value; what cannot be one throws a TypeError and appends nothing. */
  add(value) {
    return this.#add(value, 0);
  }

  /** Append an array of values, such as a pair, that is no value itself. */
  addAll(values) {
    return this.#add(values, -1);
  }

  #add(value, depth) {
    const before = this.size;
    try {
      this.#any(value, depth);
    } catch (error) {
      this.size = before;
      throw error;
    }
    return this;
  }

  /** Return what was packed, and start anew. */
  take() {
    const taken = Buffer.from(this.#bytes.subarray(0, this.size));
    this.size = 0;
    return taken;
  }

  #any(value, depth) {
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') this.#number(value);
    else if (value === null) this.#byte(0xc0);
    else if (typeof value === 'boolean') this.#byte(value ? 0xc3 : 0xc2);
    else if (typeof value === 'bigint') this.#bigInt(value);
    else if (typeof value === 'object') this.#object(value, depth);
    else throw new TypeError(`${nameOf(value)} cannot be a key or a value`);
  }

  #object(value, depth) {
    if (depth >= MAX_DEPTH) throw new TypeError(`arrays and maps nest deeper than ${MAX_DEPTH}`);
    if (Array.isArray(value)) {
      this.#head(value.length, 0x90, 15, undefined, 0xdc, 0xdd);
      for (const item of value) this.#any(item, depth + 1);
    } else if (value instanceof Uint8Array) {
      this.#head(value.length, 0, -1, 0xc4, 0xc5, 0xc6);
      this.#raw(value);
    } else if (value instanceof Map) {
      this.#map([...value], depth);
    } else if (value instanceof Date) {
      this.#date(value);
    } else if (value instanceof Decimal) {
      this.#extension(EXT_DECIMAL, Buffer.from(value.text));
    } else if (isPlain(value)) {
      this.#map(Object.entries(value), depth);
    } else {
      throw new TypeError(`${nameOf(value)} cannot be a key or a value`);
    }
  }

  #map(entries, depth) {
    this.#head(entries.length, 0x80, 15, undefined, 0xde, 0xdf);
    for (const [key, value] of entries) {
      this.#any(key, depth + 1);
      this.#any(value, depth + 1);
    }
  }

  #text(text) {
    if (!text.isWellFormed()) throw new TypeError('text with half a surrogate pair has no bytes');
    const length = Buffer.byteLength(text);
    this.#head(length, 0xa0, 31, 0xd9, 0xda, 0xdb);
    this.#room(length);
    this.size += this.#bytes.write(text, this.size);
  }

  /** Whole numbers that are exact are integers; the rest are floats. */
  #number(value) {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.#byte(0xcb);
      this.#room(8);
      this.size = this.#bytes.writeDoubleBE(value, this.size);
    } else if (value >= -32 && value < 128) {
      this.#byte(value & 0xff);
    } else if (value === (value | 0)) {
      this.#byte(0xd2);
      this.#room(4);
      this.size = this.#bytes.writeInt32BE(value, this.size);
    } else {
      this.#bigInt(BigInt(value));
    }
  }

  #bigInt(value) {
    if (value >= -(2n ** 63n) && value < 2n ** 63n) {
      this.#byte(0xd3);
      this.#room(8);
      this.size = this.#bytes.writeBigInt64BE(value, this.size);
    } else {
      this.#extension(EXT_BIG_INT, Buffer.from(value.toString(16)));
    }
  }

  #date(value) {
    const at = value.getTime();
    if (Number.isNaN(at)) throw new TypeError('an invalid Date cannot be a key or a value');
    const seconds = Math.floor(at / 1000);
    const body = Buffer.alloc(12);
    body.writeUInt32BE((at - seconds * 1000) * 1_000_000, 0);
    body.writeBigInt64BE(BigInt(seconds), 4);
    this.#extension(EXT_TIMESTAMP, body);
  }

  #extension(type, body) {
    this.#head(body.length, 0, -1, 0xc7, 0xc8, 0xc9);
    this.#byte(type & 0xff);
    this.#raw(body);
  }

  /** Write a length in the shortest form; ``byte8`` is the form of one byte, if there is one. */
  #head(length, fixed, fixedLimit, byte8, byte16, byte32) {
    if (length <= fixedLimit) {
      this.#byte(fixed | length);
    } else if (byte8 !== undefined && length < 1 << 8) {
      this.#byte(byte8);
      this.#byte(length);
    } else if (length < 1 << 16) {
      this.#byte(byte16);
      this.#room(2);
      this.size = this.#bytes.writeUInt16BE(length, this.size);
    } else {
      this.#byte(byte32);
      this.#room(4);
      this.size = this.#bytes.writeUInt32BE(length, this.size);
    }
  }

  #byte(byte) {
    this.#room(1);
    this.#bytes[this.size++] = byte;
  }

  #raw(bytes) {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.size);
    this.size += bytes.length;
  }

  #room(wanted) {
    if (this.size + wanted <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.size + wanted));
    this.#bytes.copy(larger, 0, 0, this.size);
    this.#bytes = larger;
  }
}

/** Yield the values that are packed one after the other in a buffer. */
export function* unpackAll(bytes) {
  const unpacker = new Unpacker(bytes);
  while (unpacker.at < bytes.length) yield unpacker.next();
}

class Unpacker {
  at = 0;

  constructor(bytes) {
    this.bytes = bytes;
  }

  next() {
    const head = this.bytes[this.at++];
    if (head < 0x80) return head;
    if (head < 0x90) return this.#map(head & 15);
    if (head < 0xa0) return this.#array(head & 15);
    if (head < 0xc0) return this.#text(head & 31);
    if (head >= 0xe0) return head - 256;
    switch (head) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return this.#raw(this.#length(1));
      case 0xc5: return this.#raw(this.#length(2));
      case 0xc6: return this.#raw(this.#length(4));
      case 0xc7: return this.#extension(this.#length(1));
      case 0xc8: return this.#extension(this.#length(2));
      case 0xc9: return this.#extension(this.#length(4));
      case 0xca: return this.#move(4, this.bytes.readFloatBE(this.at));
      case 0xcb: return this.#move(8, this.bytes.readDoubleBE(this.at));
      case 0xcc: return this.#length(1);
      case 0xcd: return this.#length(2);
      case 0xce: return this.#length(4);
      case 0xcf: return exact(this.#move(8, this.bytes.readBigUInt64BE(this.at)));
      case 0xd0: return this.#move(1, this.bytes.readInt8(this.at));
      case 0xd1: return this.#move(2, this.bytes.readInt16BE(this.at));
      case 0xd2: return this.#move(4, this.bytes.readInt32BE(this.at));
      case 0xd3: return exact(this.#move(8, this.bytes.readBigInt64BE(this.at)));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
        return this.#extension(1 << (head - 0xd4));
      case 0xd9: return this.#text(this.#length(1));
      case 0xda: return this.#text(this.#length(2));
      case 0xdb: return this.#text(this.#length(4));
      case 0xdc: return this.#array(this.#length(2));
      case 0xdd: return this.#array(this.#length(4));
      case 0xde: return this.#map(this.#length(2));
      case 0xdf: return this.#map(this.#length(4));
      default: throw new Error(`byte ${head} is not used`);
    }
  }

  #move(size, value) {
    this.at += size;
    return value;
  }

  #length(size) {
    return this.#move(size, this.bytes.readUIntBE(this.at, size));
  }

  #raw(length) {
    return this.#move(length, Buffer.from(this.bytes.subarray(this.at, this.at + length)));
  }

  #text(length) {
    return this.#move(length, this.bytes.toString('utf8', this.at, this.at + length));
  }

  #array(length) {
    const array = new Array(length);
    for (let index = 0; index < length; index++) array[index] = this.next();
    return array;
  }

  /** A map whose keys are all text is an object, any other a Map. */
  #map(length) {
    const entries = this.#array(2 * length);
    const texts = entries.every((item, index) => index % 2 === 1 || typeof item === 'string');
    const map = texts ? {} : new Map();
    for (let index = 0; index < entries.length; index += 2) {
      const [key, value] = [entries[index], entries[index + 1]];
      if (!texts) map.set(key, value);
      else if (key !== '__proto__') map[key] = value;
      else Object.defineProperty(map, key, { value, enumerable: true, writable: true });
    }
    return map;
  }

  #extension(length) {
    const type = this.bytes.readInt8(this.at++);
    const body = this.#raw(length);
    if (type === EXT_TIMESTAMP) return date(body);
    if (type === EXT_DECIMAL) return new Decimal(body.toString());
    const text = body.toString();
    return text.startsWith('-') ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`);
  }
}

function date(body) {
  let seconds, nanoseconds = 0n;
  if (body.length === 4) {
    seconds = BigInt(body.readUInt32BE(0));
  } else if (body.length === 8) {
    const packed = body.readBigUInt64BE(0);
    [seconds, nanoseconds] = [packed & (2n ** 34n - 1n), packed >> 34n];
  } else {
    [nanoseconds, seconds] = [BigInt(body.readUInt32BE(0)), body.readBigInt64BE(4)];
  }
  return new Date(Number(seconds * 1000n + nanoseconds / 1_000_000n));
}

function exact(value) {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function isPlain(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Return what a value is called in an error. */
export function nameOf(value) {
  if (value === null || value === undefined) return String(value);
  const name = typeof value === 'object' ? value.constructor?.name || 'object' : typeof value;
  return /^[aeiou]/i.test(name) ? `an ${name}` : `a ${name}`;
}
