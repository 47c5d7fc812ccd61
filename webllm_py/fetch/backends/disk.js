// Files of blocks in the origin-private file system. A worker writes, reads and fetches them while this thread
// computes. The text is one expression: a function of disk_worker.js and of what that is a function of, whose
// texts become the worker's.
((diskWorker, blockFile, retries, urlStream, connection, digest, sha256) => {
  const IDLE_SECONDS = 5; // the worker is kept this long without a file
  const MOST_SPARE = 4; // buffers that the worker keeps for reuse
  // Where a policy forbids workers made from texts, a dedicated worker can do the work itself.
  const alone = typeof DedicatedWorkerGlobalScope !== "undefined";
  let forbidden =
    typeof Worker === "undefined" || /-extension:$/.test(globalThis.location?.protocol);

  // The worker's side: calls begin in their order, and each is answered when it is done.
  function serve(calls) {
    onmessage = async ({ data: { number, name, args } }) => {
      const wrote = (index, digest) => postMessage({ number, index, digest });
      try {
        const value = await calls[name](...args, wrote);
        postMessage({ number, value }, value instanceof Uint8Array ? [value.buffer] : []);
      } catch ({ name, message, status, wait, store, facts }) {
        postMessage({ number, failure: { name, message, status, wait, store, facts } });
      }
    };
  }

  let worker = null;
  let address = ""; // of the worker's text
  let here = null; // the calls, where this thread does the work
  let count = 0;
  let open = 0; // number of open files
  let spare = 0; // number of buffers that the worker keeps
  const lent = new WeakSet(); // buffers that `read` returned
  let timer;
  const waiting = new Map(); // calls that were not answered yet, by number

  // Whether files can be kept here.
  const possible = () => alone || !forbidden;

  function employ() {
    const given = `(${blockFile})((${retries})()), (${urlStream})(${connection}).UrlStream, (${digest})(${sha256})`;
    const made = `(${diskWorker})(${given})`;
    address = URL.createObjectURL(new Blob([`(${serve})(${made});`], { type: "text/javascript" }));
    try {
      worker = new Worker(address, { name: "webllm_py keeps models" });
    } catch {
      forbid();
      return;
    }
    worker.onmessage = ({ data }) => heard(data);
    worker.onerror = (event) => {
      event.preventDefault();
      forbid();
    };
  }

  function dismiss() {
    worker?.terminate();
    URL.revokeObjectURL(address);
    worker = null;
    spare = 0;
  }

  // There can be no such worker: its calls are done here, or fail.
  function forbid() {
    forbidden = true;
    dismiss();
    const calls = [...waiting.values()];
    waiting.clear();
    for (const { args, resolve } of calls) resolve(call(...args));
  }

  function heard({ number, index, digest, value, failure }) {
    const { wrote, resolve, reject } = waiting.get(number);
    if (index !== undefined) {
      wrote(index, digest);
      return;
    }
    waiting.delete(number);
    if (failure) reject(Object.assign(new Error(failure.message), failure));
    else resolve(value);
  }

  async function call(name, args, wrote, moved = []) {
    if (worker === null && !forbidden) employ();
    if (forbidden) {
      if (!alone) {
        const message = "this page allows no worker, and only a worker can write there";
        throw new DOMException(message, "NotSupportedError");
      }
      here ??= diskWorker(blockFile(retries()), urlStream(connection).UrlStream, digest(sha256));
      return here[name](...args, wrote);
    }
    const number = count++;
    worker.postMessage({ number, name, args }, moved);
    return new Promise((resolve, reject) => {
      waiting.set(number, { args: [name, args, wrote], wrote, resolve, reject });
    });
  }

  // A file of blocks. It is closed after the calls that were made before.
  class DiskFile {
    constructor(...args) {
      this.id = count++;
      clearTimeout(timer);
      open++;
      call("openFile", [this.id, ...args]).catch(() => {}); // the next call finds it as well
    }

    blocks = () => call("blocks", [this.id]);
    write = (index, bytes) => call("write", [this.id, index, bytes]);
    digest = (index) => call("digestBlock", [this.id, index]);
    drop = (index) => call("drop", [this.id, index]);
    flush = () => call("flush", [this.id]);
    letGo = (whole) => call("letGo", [this.id, whole]);

    async read(offset, length) {
      spare = Math.max(0, spare - 1);
      const bytes = await call("read", [this.id, offset, length]);
      lent.add(bytes.buffer);
      return bytes;
    }

    // Give a buffer that `read` returned back to the worker; other bytes are ignored.
    release({ buffer }) {
      if (!lent.delete(buffer) || spare >= MOST_SPARE || worker === null) return;
      spare++;
      call("release", [buffer], undefined, [buffer]);
    }

    async close() {
      try {
        await call("closeFile", [this.id]);
      } finally {
        open--;
        if (open === 0) timer = setTimeout(dismiss, 1000 * IDLE_SECONDS);
      }
    }

    fetching(url, facts, idleSeconds, headers) {
      return new Fetching(this, url, facts, idleSeconds, headers);
    }

    digesting() {
      return new Digesting(this);
    }
  }

  // Fetches a URL's blocks into a file; see UrlStream for the arguments.
  class Fetching {
    constructor(file, url, facts, idleSeconds, headers) {
      this.id = count++;
      this.facts = facts;
      const known = { ...facts, received: 0 };
      const args = [this.id, file.id, url, known, idleSeconds, JSON.parse(headers)];
      call("openFetch", args).catch(() => {});
    }

    // See disk_worker.js's Fetch. `joined`: the expected digests, separated by commas.
    async run(first, last, joined, wrote) {
      const expected = joined?.split(",");
      try {
        const { wrong, facts } = await call("runFetch", [this.id, first, last, expected], wrote);
        this.tell(facts);
        return wrong;
      } catch (error) {
        this.tell(error.facts);
        throw error;
      }
    }

    tell(facts) {
      if (!facts) return;
      this.facts.received += facts.received;
      this.facts.ranges = facts.ranges;
    }

    close() {
      call("closeFetch", [this.id]).catch(() => {});
    }
  }

  // The SHA-256 of a file's bytes, as they come.
  class Digesting {
    constructor(file) {
      this.id = count++;
      this.file = file;
      call("openDigest", [this.id]).catch(() => {});
    }

    add = (offset, length) => call("addToDigest", [this.id, this.file.id, offset, length]);
    end = () => call("endDigest", [this.id]);

    close() {
      call("closeDigest", [this.id]).catch(() => {});
    }
  }

  return { possible, openFile: (...args) => new DiskFile(...args) };
});
