// Something that the worker does for a page or for a service worker, from the side that asked for it.
// The other side is webllm_py/web/job.py, which says what the messages are.

import "./error_classes.js";
import { errorFrom } from "./errors.js";

const TOGETHER = 16; // pieces that the other side is told of at a time; it waits after 64

const quiet = (promise) => {
  promise.catch(() => {}); // whoever awaits it is told all the same
  return promise;
};

/**
 * An asynchronous iterator over the pieces.
 *
 * `accepted`, `head` and `ended` are promises: somebody takes care of it; what comes before the first
 * piece; what comes after the last one. They are rejected with what went wrong, with an "AbortError"
 * where the job was cancelled.
 */
export class Job {
  #port;
  #pieces = [];
  #read = 0; // since the other side was told
  #failure = null;
  #isOver = false;
  #readers = []; // who waits for a piece or the end
  #settle = {};
  #processors; // GivenProcessors, of a request that has any

  constructor(port, processors = null) {
    this.#port = port;
    this.#processors = processors;
    for (const name of ["accepted", "head", "ended"]) {
      const { promise, ...settle } = Promise.withResolvers?.() ?? withResolvers();
      this.#settle[name] = settle;
      this[name] = quiet(promise);
    }
    port.onmessage = ({ data }) => {
      if (typeof data === "string") this.#receive(JSON.parse(data));
      else processors.receive(data, port);
    };
  }

  /** Nobody wants it any more; `ended` says when it is over. */
  cancel() {
    if (!this.#isOver) this.#port.postMessage({ cancel: true });
  }

  /** There will be no answer: the other side is gone. */
  fail(error) {
    if (!this.#isOver) this.#end("reject", error);
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    while (!this.#pieces.length) {
      if (this.#isOver) {
        const failure = this.#failure;
        this.#failure = null;
        if (failure) throw failure;
        return { done: true, value: undefined };
      }
      await new Promise((wake) => this.#readers.push(wake));
    }
    const value = this.#pieces.shift();
    if (++this.#read >= TOGETHER) {
      this.#port.postMessage({ taken: this.#read });
      this.#read = 0;
    }
    return { done: false, value };
  }

  async return(value) {
    this.cancel();
    this.#pieces = [];
    await this.ended.catch(() => {});
    this.#failure = null;
    return { done: true, value };
  }

  #receive(message) {
    this.#settle.accepted.resolve();
    if ("piece" in message) this.#pieces.push(message.piece);
    else if ("head" in message) this.#settle.head.resolve(message.head);
    else if ("end" in message) this.#end("resolve", message.end);
    else if ("error" in message) this.#end("reject", errorFrom(message.error));
    else if (message.cancelled) this.#end("reject", new DOMException("It was cancelled.", "AbortError"));
    this.#wake();
  }

  #end(how, value) {
    this.#isOver = true;
    const { failure } = this.#processors ?? {};
    if (failure) [how, value] = ["reject", failure];
    if (how === "reject") this.#failure = value;
    this.#settle.ended[how](value);
    this.#settle.head[how](value);
    this.#settle.accepted[how](value);
    this.#port.close();
    this.#wake();
  }

  #wake() {
    for (const wake of this.#readers.splice(0)) wake();
  }
}

function withResolvers() {
  const settle = {};
  settle.promise = new Promise((resolve, reject) => Object.assign(settle, { resolve, reject }));
  return settle;
}
