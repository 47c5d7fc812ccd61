// Files whose bytes come while this thread computes: a reply is drained by the thread that asked for
// it, so a worker asks for what was announced. The text is one expression: a function of
// url_stream.js's and connection.js's.
((urlStream, connection) => {
  const { Failure, UrlStream } = urlStream(connection);
  const WORTH_BYTES = 16 << 20; // of a file: of smaller ones, most is there with the header
  const START_SECONDS = 2;
  const MOST_WORKERS = 4; // at a time: a folder may have many files whose headers are read first
  let workers = 0;
  // Extensions' pages may have no worker of a text, and say so for everybody to see.
  let forbidden =
    typeof Worker === "undefined" || /-extension:$/.test(globalThis.location?.protocol);

  // All that the worker does: each range that it is told of goes into one buffer and back, in order.
  // After a failure it reads no more.
  function serve({ UrlStream }) {
    const MIB = 1 << 20;
    const ranges = [];
    const spare = []; // buffers that came back
    let stream = null;
    let reading = false;

    // What the replies told since it was told before.
    function told() {
      const { ranges, received } = stream.facts;
      stream.facts.received = 0;
      return { ranges, received };
    }

    async function read() {
      reading = true;
      try {
        while (ranges.length > 0) {
          const { number, offset, length } = ranges.shift();
          // Of whole MiB, so that it will do for other ranges as well.
          const buffer = spare.pop() ?? new ArrayBuffer(Math.ceil(length / MIB) * MIB);
          const bytes = await stream.read(offset, length, buffer);
          postMessage({ number, bytes, facts: told() }, [bytes.buffer]);
        }
        reading = false;
      } catch ({ name, message, status, wait }) {
        postMessage({ failure: { name, message, status, wait }, facts: told() });
      }
    }

    onmessage = ({ data }) => {
      if (data.open) stream = new UrlStream(...data.open);
      if (data.range) ranges.push(data.range);
      if (data.spare) spare.push(data.spare);
      if (!reading) read();
    };
    postMessage({ ready: true });
  }

  // As UrlStream, in this thread where there can be no such worker.
  class AheadStream extends UrlStream {
    constructor(...args) {
      super(...args);
      this.worker = null;
      this.address = ""; // of its text
      this.ready = false; // it has begun
      this.useful = false; // it brought something
      this.refused = false; // it is of no use for this file
      this.ranges = []; // announced, and not read yet: {number, offset, length, arrival, ...}
      this.awaited = new Map(); // of these, those that the worker did not bring yet
      this.count = 0;
    }

    // This will be read next, after what was announced before. `idle`: nothing is being read.
    expect(offset, length, idle) {
      if (length === 0 || !this.employ()) return;
      if (idle) this.hangUp(); // the worker has a reply of its own
      const range = { number: this.count++, offset, length };
      range.arrival = new Promise((resolve, reject) => Object.assign(range, { resolve, reject }));
      range.arrival.catch(() => {}); // it may be that nobody reads it
      this.ranges.push(range);
      this.awaited.set(range.number, range);
      this.worker.postMessage({ range: { number: range.number, offset, length } });
    }

    // What `read` gave is done with.
    release({ buffer }) {
      if (this.worker !== null && buffer.byteLength > 0) {
        this.worker.postMessage({ spare: buffer }, [buffer]);
      }
    }

    async readAhead(...args) {
      const bytes = await super.readAhead(...args);
      this.employ(); // it is begun by the time that it is needed
      return bytes;
    }

    async read(offset, length) {
      const at = this.ranges.findIndex((range) => range.offset === offset && range.length === length);
      if (at < 0) return super.read(offset, length);
      const range = this.ranges.splice(0, at + 1)[at]; // those before it are left out
      const bytes = await this.arrived(range);
      if (this.ranges.length === 0 && this.awaited.size === 0) this.dismiss();
      return bytes ?? super.read(offset, length);
    }

    // A worker that has nothing to do yet stays: files are paused behind their headers.
    pause() {
      if (this.ranges.length > 0 || this.awaited.size > 0) this.forget();
      super.pause();
    }

    abort() {
      super.abort();
      this.forget();
    }

    forget() {
      this.dismiss();
      this.ranges = [];
    }

    // Whether there is a worker, which is made where there can be one.
    employ() {
      const { size, answered, ranges } = this.facts;
      if (this.worker !== null) return true;
      if (forbidden || this.refused || this.dead || workers === MOST_WORKERS) return false;
      if (!answered || !ranges || size === null || size < WORTH_BYTES) return false;
      const text = `(${serve})((${urlStream})(${connection}));`;
      this.address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      try {
        this.worker = new Worker(this.address, { name: "webllm_py reads ahead" });
      } catch {
        forbidden = true;
        URL.revokeObjectURL(this.address);
        return false;
      }
      workers++;
      this.worker.onmessage = ({ data }) => this.heard(data);
      this.worker.onerror = (event) => {
        event.preventDefault();
        forbidden = true;
        this.dismiss();
      };
      const facts = { ...this.facts, received: 0 };
      this.worker.postMessage({ open: [this.url, facts, this.idleSeconds, this.headers] });
      return true;
    }

    refuse() {
      this.refused = true;
      this.dismiss();
    }

    heard({ ready, number, bytes, failure, facts }) {
      if (ready) this.ready = true;
      if (facts) {
        this.facts.received += facts.received;
        this.facts.ranges &&= facts.ranges;
      }
      if (bytes) {
        this.useful = true;
        this.awaited.get(number).resolve(bytes);
        this.awaited.delete(number);
      }
      if (failure && this.useful) {
        const { name, message, status, wait } = failure;
        this.dismiss(new Failure(name, message, status, wait));
      } else if (failure) {
        this.refuse(); // whatever it was: this thread may do better, or finds it as well
      }
    }

    // The bytes of an announced range; undefined, if the worker will not bring them.
    async arrived(range) {
      const slow = () => {
        if (!this.ready) this.refuse();
      };
      const timer = setTimeout(slow, START_SECONDS * 1000);
      try {
        return await range.arrival;
      } finally {
        clearTimeout(timer);
      }
    }

    // End the worker. `failure` is what became of the range that it was at; the others are read here.
    dismiss(failure) {
      if (this.worker === null) return;
      this.worker.onmessage = this.worker.onerror = null;
      this.worker.terminate();
      workers--;
      URL.revokeObjectURL(this.address);
      this.worker = null;
      this.ready = this.useful = false;
      for (const range of this.awaited.values()) {
        if (failure) range.reject(failure);
        else range.resolve(undefined);
        failure = undefined;
      }
      this.awaited.clear();
    }
  }

  return AheadStream;
});
