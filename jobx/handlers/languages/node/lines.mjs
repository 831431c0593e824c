// The line protocol, as a program speaks it: see docs/languages.md.

import fs from 'node:fs';

import {
  Error, Uint8Array, hasOwn, indexOf, lastIndexOf, list, put, sizeOf, slice, stringify, textDecoder, toBytes, toWellFormed,
} from './primordials.mjs';
import { fromText, toText } from './values.mjs';

const { readSync, writeSync } = fs;
const { reallyExit } = process;
const READ_BYTES = 1 << 16;
const WRITE_CHARACTERS = 1 << 16;
const OUTPUT_CHARACTERS = 1 << 14;

/** Lines that are read and written with blocking calls. */
export class Lines {
  #input;
  #output;
  #memory = new ArrayBuffer(READ_BYTES);
  #chunk = new Uint8Array(this.#memory);
  #decode = textDecoder();
  #text = ''; // whole lines, of which the next one begins at #at
  #at = 0;
  #rest = ''; // of a line that is not whole
  #early = list(); // messages that came while an answer was waited for, from #earlyAt on
  #earlyAt = 0;
  #written = '';
  #pairs = '';
  #captured = '';
  #isAtEnd = false;

  constructor(input, output) {
    this.#input = input;
    this.#output = output;
  }

  /** Return the next call; what was written is sent before. */
  next() {
    this.flush();
    this.#isAtEnd = false;
    return this.#receive();
  }

  /** Return the next key of a call and its values; null: there was the last one. */
  group() {
    if (this.#isAtEnd) return null;
    const message = this.#takeEarly() ?? this.#receive();
    if (hasOwn(message, 'key')) return [message.key, message.values];
    if (!hasOwn(message, 'end')) throw new Error('what node reads of its executor was changed');
    this.#isAtEnd = true;
    return null;
  }

  /** Have the keys of a call sent once more. */
  again() {
    this.#skipGroups();
    this.say('{"again":true}');
    this.flush();
    this.#isAtEnd = false;
  }

  /** End a call, of which all is read. */
  end(hasGroups, line) {
    if (hasGroups) this.#skipGroups();
    this.#sayPairs();
    this.say(line);
  }

  /** Call a name of the scope in the executor. */
  ask(name, args) {
    let text = toText(name);
    for (let at = 0; at < args.length; at++) text += `,${toText(args[at])}`;
    this.say(`{"ask":[${text}]}`);
    this.flush();
    for (;;) {
      const message = this.#receive();
      if (hasOwn(message, 'answer')) return message.answer;
      if (hasOwn(message, 'raise')) throw named(message.raise);
      this.#early[this.#early.length] = message;
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
    const size = sizeOf(bytes);
    for (let sent = 0; sent < size;) sent += writeSync(this.#output, bytes, sent, size - sent, null);
  }

  #sayPairs() {
    if (this.#pairs === '') return;
    const line = `{"pairs":[${this.#pairs}]}`;
    this.#pairs = '';
    this.say(line);
  }

  #sayCaptured() {
    if (this.#captured === '') return;
    this.#written += `{"output":${stringify(toWellFormed(this.#captured))}}\n`;
    this.#captured = '';
  }

  #skipGroups() {
    while (this.group() !== null);
  }

  #takeEarly() {
    if (this.#earlyAt === this.#early.length) return undefined;
    const message = this.#early[this.#earlyAt++];
    if (this.#earlyAt === this.#early.length) this.#early.length = this.#earlyAt = 0;
    return message;
  }

  /** Return the next line that was sent. */
  #receive() {
    while (this.#at === this.#text.length) this.#read();
    const end = indexOf(this.#text, '\n', this.#at);
    const line = slice(this.#text, this.#at, end);
    this.#at = end + 1;
    return fromText(line);
  }

  /** Read on; the executor is gone when there is no more. */
  #read() {
    const count = readSync(this.#input, this.#chunk, 0, READ_BYTES, null);
    if (count === 0) reallyExit(0);
    const text = this.#decode(new Uint8Array(this.#memory, 0, count));
    const end = lastIndexOf(text, '\n') + 1;
    if (end > 0) {
      this.#text = this.#rest + slice(text, 0, end);
      this.#at = 0;
      this.#rest = '';
    }
    this.#rest += slice(text, end);
  }
}

/** Return an exception of the executor. */
function named({ type, message }) {
  const error = new Error(message);
  put(error, 'name', type);
  return error;
}
