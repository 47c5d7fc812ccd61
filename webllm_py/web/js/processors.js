// Logits processors that are functions of a page. A step's logits go to it, and what it makes of them
// comes back, on the port of the request's job, between the messages of webllm_py/web/job.py:
//
//   to the page     {index, logits}   a Float32Array
//                   {index, token}    it was drawn
//                   {index, begins}   an answer does
//   to the worker   {logits}
//                   {failed}          a text: the page knows the error

/** The page's side, of one request. */
export class GivenProcessors {
  #given;
  /** The first error that one of them threw; the request fails with it. */
  failure = null;

  constructor(given) {
    this.#given = [given].flat();
    for (const [i, one] of this.#given.entries()) {
      if (typeof one !== "function") {
        throw new TypeError(`logits_processors[${i}] must be a function, not a ${typeof one}.`);
      }
    }
  }

  get count() {
    return this.#given.length;
  }

  async receive({ index, logits, token, begins }, port) {
    const processor = this.#given[index];
    try {
      if (token !== undefined) processor.accept?.(token);
      else if (begins) processor.reset?.();
      else if (this.failure) throw this.failure;
      else {
        // A copy goes back: the page may keep what it got, and what it returned.
        const found = checked(await processor(logits), logits.length, index).slice();
        port.postMessage({ logits: found }, [found.buffer]);
      }
    } catch (error) {
      this.failure ??= error;
      if (logits) port.postMessage({ failed: `${error}` });
    }
  }
}

function checked(found, length, index) {
  if (found instanceof Float32Array && found.length === length) return found;
  const what = found?.length === undefined ? typeof found : `${found.length} values`;
  throw new TypeError(
    `logits_processors[${index}] returned ${what}; it must return the ${length} logits, a Float32Array.`,
  );
}

/** The worker's side, as Python calls it. */
export class AskedProcessors {
  #port;
  #settle;

  constructor(port) {
    this.#port = port;
  }

  /** What the page makes of logits: an object of Python's with a buffer of float32. */
  process(index, logits) {
    const view = logits.getBuffer("f32");
    const copy = view.data.slice();
    view.release();
    this.#port.postMessage({ index, logits: copy }, [copy.buffer]);
    return new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
  }

  accept(index, token) {
    this.#port.postMessage({ index, token });
  }

  reset(index) {
    this.#port.postMessage({ index, begins: true });
  }

  answered({ logits, failed }) {
    if (logits) this.#settle.resolve(logits);
    else this.#settle.reject(new Error(failed));
  }
}
