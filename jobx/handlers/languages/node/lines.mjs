// The line protocol, as a program speaks it: see docs/languages.md.

import { readSync, writeSync } from 'node:fs';

import { fromText, toText } from './values.mjs';

const { stringify } = JSON;
const { hasOwn } = Object; // handlers may add to the prototype of all objects
const toBytes = Buffer.from.bind(Buffer);
const READ_BYTES = 1 << 16;
const WRITE_CHARACTERS = 1 << 16;
const OUTPUT_CHARACTERS = 1 << 14;
const LINE_FEED = 10;

/** Lines that are read and written with blocking calls. */
export class Lines {
  #input;
  #output;
  #chunk = Buffer.alloc(READ_BYTES);
  #pieces = [];
  #texts = [];
  #at = 0;
  #early = [];
  #written = '';
  #pairs = '';
  #captured = '';
  #isAtEnd = false;

  constructor(input, output) {
    [this.#input, this.#output] = [input, output];
  }

  /** Return the next call; what was written is sent before. */
  next() {
    this.flush();
    this.#isAtEnd = false;
    return this.#receive();
  }

  /** Yield the keys of a call with their values. */
  *groups() {
    while (!this.#isAtEnd) {
      const message = this.#early.shift() ?? this.#receive();
      if (hasOwn(message, 'key')) yield [message.key, message.values];
      else if (hasOwn(message, 'end')) this.#isAtEnd = true;
      else throw new Error('what node reads of its executor was changed');
    }
  }

  /** Have the keys of a call sent once more. */
  again() {
    for (const _ of this.groups());
    this.say('{"again":true}');
    this.flush();
    this.#isAtEnd = false;
  }

  /** End a call, of which all is read. */
  end(hasGroups, line) {
    if (hasGroups) for (const _ of this.groups());
    this.#sayPairs();
    this.say(line);
  }

  /** Call a name of the scope in the executor. */
  ask(name, args) {
    this.say(`{"ask":${toText([name, ...args], -1)}}`);
    this.flush();
    for (;;) {
      const message = this.#receive();
      if (hasOwn(message, 'answer')) return message.answer;
      if (hasOwn(message, 'raise')) throw Object.assign(new Error(message.raise.message), { name: message.raise.type });
      this.#early.push(message);
    }
  }

  /** Yield a pair; many of them are one line. What is none throws a TypeError. */
  pair(pair) {
    const text = toText(pair, -1);
    this.#pairs += this.#pairs === '' ? text : `,${text}`;
    if (this.#pairs.length > WRITE_CHARACTERS) this.#sayPairs();
  }

  log(level, message) {
    this.say(`{"log":{"level":"${level}","message":${stringify(message)}}}`);
    this.flush();
  }

  /** Capture output; it is sent before the next line. */
  capture(text) {
    this.#captured += text;
    if (this.#captured.length > OUTPUT_CHARACTERS) this.flush();
  }

  /** Capture bytes, which need not be text. */
  captureBytes(bytes) {
    this.say(`{"output":${toText(bytes)}}`);
  }

  /** Forget captured output that was not sent. */
  discard() {
    this.#captured = '';
  }

  /** Write a line. */
  say(line) {
    this.#sayCaptured();
    this.#written += `${line}\n`;
    if (this.#written.length > WRITE_CHARACTERS) this.flush();
  }

  /** Send what was written. */
  flush() {
    this.#sayCaptured();
    const bytes = toBytes(this.#written);
    this.#written = '';
    for (let sent = 0; sent < bytes.length;) sent += writeSync(this.#output, bytes, sent);
  }

  #sayPairs() {
    if (this.#pairs === '') return;
    const line = `{"pairs":[${this.#pairs}]}`;
    this.#pairs = '';
    this.say(line);
  }

  #sayCaptured() {
    if (this.#captured === '') return;
    this.#written += `{"output":${stringify(this.#captured.toWellFormed())}}\n`;
    this.#captured = '';
  }

  /** Return the next line that was sent. */
  #receive() {
    while (this.#at === this.#texts.length) this.#read();
    return fromText(this.#texts[this.#at++]);
  }

  /** Read until a line is whole; the executor is gone when there is no more. */
  #read() {
    const count = readSync(this.#input, this.#chunk);
    if (count === 0) process.reallyExit(0);
    const chunk = this.#chunk.subarray(0, count);
    const end = chunk.lastIndexOf(LINE_FEED);
    if (end >= 0) {
      const whole = Buffer.concat([...this.#pieces, chunk.subarray(0, end)]);
      [this.#texts, this.#at, this.#pieces] = [whole.toString().split('\n'), 0, []];
    }
    if (end + 1 < count) this.#pieces.push(Buffer.from(chunk.subarray(end + 1)));
  }
}
