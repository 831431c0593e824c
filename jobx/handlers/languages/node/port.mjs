// Frames between an executor and its node process: four bytes of length, then a msgpack map.

import fs from 'node:fs';

import { Packer, unpackAll } from './values.mjs';

const READ_BYTES = 1 << 16;
const OUTPUT_BYTES = 1 << 14;

/** One end of the stream, read and written with blocking calls. */
export class Port {
  #descriptor;
  #ahead = Buffer.alloc(0);
  #output = [];
  #outputBytes = 0;
  #packer = new Packer();

  constructor(descriptor) {
    this.#descriptor = descriptor;
  }

  /** Return the next frame, or null when the executor is gone. */
  read() {
    const head = this.#take(4);
    const body = head && this.#take(head.readUInt32BE(0));
    return body && unpackAll(body).next().value;
  }

  /** Send captured output, then a frame. */
  write(frame) {
    this.flush();
    this.#send(frame);
  }

  /** Send a frame and return its answer. */
  ask(frame) {
    this.write(frame);
    return this.read();
  }

  /** Capture output; it is sent before the next frame. */
  capture(bytes) {
    this.#output.push(Buffer.from(bytes));
    this.#outputBytes += bytes.length;
    if (this.#outputBytes > OUTPUT_BYTES) this.flush();
  }

  /** Forget captured output that was not sent. */
  discard() {
    this.#output = [];
    this.#outputBytes = 0;
  }

  flush() {
    if (this.#output.length === 0) return;
    const bytes = Buffer.concat(this.#output);
    this.discard();
    this.#send({ t: 'output', bytes });
  }

  #send(frame) {
    const body = this.#packer.add(frame).take();
    const bytes = Buffer.allocUnsafe(4 + body.length);
    bytes.writeUInt32BE(body.length);
    body.copy(bytes, 4);
    for (let sent = 0; sent < bytes.length;) {
      sent += fs.writeSync(this.#descriptor, bytes, sent);
    }
  }

  #take(size) {
    const chunks = [this.#ahead];
    let length = this.#ahead.length;
    while (length < size) {
      const chunk = Buffer.allocUnsafe(Math.max(READ_BYTES, size - length));
      const count = fs.readSync(this.#descriptor, chunk);
      if (count === 0) return null;
      chunks.push(chunk.subarray(0, count));
      length += count;
    }
    const bytes = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    this.#ahead = bytes.subarray(size);
    return bytes.subarray(0, size);
  }
}
