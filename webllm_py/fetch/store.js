// Models in a browser: the backends of the store, each a few calls on blocks; bytes stay in
// JavaScript. The Python half is browser_store.py.
//
// A place keeps values under two-part names: put(folder, name, Uint8Array), get(folder, name) -> Blob
// or undefined, names(folder) -> {name: bytes}, folders(), remove(folder, name or undefined). A block
// is a value, with its SHA-256 behind it: what was cut off has another length.
(() => {
  const DIGEST = 32;
  const MOST_DISTURBED = 20; // times that a file is found anew
  const ROOT = "webllm_py models";

  const encode = (name) => encodeURIComponent(name).replaceAll("*", "%2A");

  // The origin-private file system: a folder a model, a file a block. In a worker it is written through
  // sync access handles, which is quicker, and all that older Safaris have.
  class FileSystemPlace {
    constructor(name = ROOT) {
      this.name = name;
    }

    async root() {
      this.top ??= await (await navigator.storage.getDirectory()).getDirectoryHandle(this.name, {
        create: true,
      });
      return this.top;
    }

    async folder(name, create = false) {
      return (await this.root()).getDirectoryHandle(encode(name), { create });
    }

    async put(folder, name, ...parts) {
      const file = await (await this.folder(folder, true)).getFileHandle(encode(name), {
        create: true,
      });
      if (file.createSyncAccessHandle && globalThis.WorkerGlobalScope) {
        const handle = await file.createSyncAccessHandle();
        try {
          handle.truncate(0);
          let at = 0;
          for (const part of parts) {
            const count = handle.write(part, { at });
            if (count < part.length) throw new DOMException("no room", "QuotaExceededError");
            at += count;
          }
          handle.flush();
        } finally {
          handle.close();
        }
        return;
      }
      const stream = await file.createWritable();
      for (const part of parts) await stream.write(part);
      await stream.close();
    }

    async get(folder, name) {
      return orNothing(async () => {
        const file = await (await this.folder(folder)).getFileHandle(encode(name));
        return file.getFile();
      });
    }

    async names(folder) {
      const found = [];
      await orNothing(async () => {
        for await (const entry of (await this.folder(folder)).entries()) found.push(entry);
      });
      // What another tab deletes or replaces meanwhile has no size.
      const sizes = await together(found, ([, handle]) =>
        orNothing(async () => (await handle.getFile()).size),
      );
      return Object.fromEntries(found.map(([name], i) => [decodeURIComponent(name), sizes[i]]));
    }

    async folders() {
      const found = [];
      for await (const name of (await this.root()).keys()) found.push(decodeURIComponent(name));
      return found;
    }

    async remove(folder, name) {
      await orNothing(async () => {
        if (name === undefined) {
          await (await this.root()).removeEntry(encode(folder), { recursive: true });
        } else {
          await (await this.folder(folder)).removeEntry(encode(name));
        }
      });
    }
  }

  // What `work` gives for each, some at a time.
  async function together(items, work) {
    const found = [];
    for (let at = 0; at < items.length; at += 64) {
      found.push(...(await Promise.all(items.slice(at, at + 64).map(work))));
    }
    return found;
  }

  async function orNothing(work) {
    try {
      return await work();
    } catch (error) {
      if (error.name !== "NotFoundError") throw error;
      return undefined;
    }
  }

  // What another tab writes between being found and being read has to be found again.
  async function undisturbed(work) {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (error.name !== "NotReadableError" || tries === MOST_DISTURBED) throw error;
      }
    }
  }

  // The Cache API: a cache a model, an entry a block, under addresses that nobody serves.
  class CachePlace {
    address(name) {
      return `https://webllm-py.invalid/${encode(name)}`;
    }

    open(folder) {
      return caches.open(`${ROOT}/${folder}`);
    }

    async put(folder, name, ...parts) {
      const blob = new Blob(parts);
      const headers = { "Content-Length": blob.size };
      await (await this.open(folder)).put(this.address(name), new Response(blob, { headers }));
    }

    async get(folder, name) {
      return (await (await this.open(folder)).match(this.address(name)))?.blob();
    }

    async names(folder) {
      const cache = await this.open(folder);
      const found = {};
      for (const request of await cache.keys()) {
        const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
        found[name] = Number((await cache.match(request)).headers.get("Content-Length"));
      }
      return found;
    }

    async folders() {
      const prefix = `${ROOT}/`;
      const all = await caches.keys();
      return all.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
    }

    async remove(folder, name) {
      if (name === undefined) await caches.delete(`${ROOT}/${folder}`);
      else await (await this.open(folder)).delete(this.address(name));
    }
  }

  // IndexedDB: one store, its keys [model, name].
  class DatabasePlace {
    database() {
      this.opening ??= new Promise((resolve, reject) => {
        const request = indexedDB.open(ROOT, 1);
        request.onupgradeneeded = () => request.result.createObjectStore("values");
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      return this.opening;
    }

    async run(mode, ask) {
      const transaction = (await this.database()).transaction("values", mode);
      const request = ask(transaction.objectStore("values"));
      return new Promise((resolve, reject) => {
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => reject(transaction.error ?? request.error);
      });
    }

    put(folder, name, ...parts) {
      return this.run("readwrite", (store) => store.put(new Blob(parts), [folder, name]));
    }

    get(folder, name) {
      return this.run("readonly", (store) => store.get([folder, name]));
    }

    within(folder) {
      return IDBKeyRange.bound([folder], [folder, []]);
    }

    async names(folder) {
      const keys = await this.run("readonly", (store) => store.getAllKeys(this.within(folder)));
      const blobs = await this.run("readonly", (store) => store.getAll(this.within(folder)));
      return Object.fromEntries(keys.map(([, name], i) => [name, blobs[i]?.size ?? 0]));
    }

    async folders() {
      const keys = await this.run("readonly", (store) => store.getAllKeys());
      return [...new Set(keys.map(([folder]) => folder))];
    }

    remove(folder, name) {
      const key = name === undefined ? this.within(folder) : [folder, name];
      return this.run("readwrite", (store) => store.delete(key));
    }
  }

  // The memory of this page or worker.
  class MemoryPlace {
    values = new Map();

    async put(folder, name, ...parts) {
      if (!this.values.has(folder)) this.values.set(folder, new Map());
      this.values.get(folder).set(name, new Blob(parts));
    }

    async get(folder, name) {
      return this.values.get(folder)?.get(name);
    }

    async names(folder) {
      const all = [...(this.values.get(folder) ?? [])];
      return Object.fromEntries(all.map(([name, blob]) => [name, blob.size]));
    }

    async folders() {
      return [...this.values.keys()];
    }

    async remove(folder, name) {
      if (name === undefined) this.values.delete(folder);
      else this.values.get(folder)?.delete(name);
    }
  }

  const PLACES = {
    opfs: [() => typeof navigator.storage?.getDirectory === "function", FileSystemPlace],
    cache: [() => typeof caches !== "undefined", CachePlace],
    indexeddb: [() => typeof indexedDB !== "undefined", DatabasePlace],
    memory: [() => true, MemoryPlace],
  };
  const opened = {};

  // The kinds that this browser offers here, the best first: outside a secure context some are missing.
  function offered() {
    return Object.keys(PLACES).filter((kind) => PLACES[kind][0]());
  }

  function open(kind) {
    opened[kind] ??= new PLACES[kind][1]();
    return opened[kind];
  }

  const RECORD = "r ";
  const block = (file, index) => `b ${index} ${file}`;

  // What is no model has a folder of its own beside them.
  const beside = new FileSystemPlace("webllm_py states");

  async function writeState(name, bytes) {
    const buffer = bytes.getBuffer("u8");
    const copy = buffer.data.slice(); // Python's memory may move meanwhile
    buffer.release();
    await beside.put("states", name, copy);
  }

  async function readState(name) {
    const blob = await beside.get("states", name);
    if (blob === undefined) throw new DOMException("nothing has this name", "NotFoundError");
    return new Uint8Array(await blob.arrayBuffer());
  }

  function readRecord(place, model, file) {
    return undisturbed(async () => (await place.get(model, RECORD + file))?.text());
  }

  function writeRecord(place, model, file, text) {
    return place.put(model, RECORD + file, new TextEncoder().encode(text));
  }

  async function files(place, model) {
    const names = Object.keys(await place.names(model));
    return names
      .filter((name) => name.startsWith(RECORD) && name !== RECORD)
      .map((name) => name.slice(RECORD.length));
  }

  async function removeFile(place, model, file) {
    const own = new RegExp("^b \\d+ ");
    for (const name of Object.keys(await place.names(model))) {
      const match = own.exec(name);
      if (name === RECORD + file || (match && name.slice(match[0].length) === file)) {
        await place.remove(model, name);
      }
    }
  }

  // Of each block that is whole its digest, as {index: hexadecimal digits}.
  async function blocks(place, model, file, size, blockBytes) {
    const whole = [];
    for (const [name, length] of Object.entries(await place.names(model))) {
      const match = /^b (\d+) /.exec(name);
      if (match === null || name.slice(match[0].length) !== file) continue;
      const index = Number(match[1]);
      const expected = Math.min(blockBytes, size - index * blockBytes);
      if (length === expected + DIGEST) whole.push([index, name, expected]);
    }
    const digests = await together(whole, ([index, name, expected]) =>
      undisturbed(() =>
        orNothing(async () => {
          const blob = await place.get(model, name);
          return blob && [index, hex(new Uint8Array(await blob.slice(expected).arrayBuffer()))];
        }),
      ),
    );
    return Object.fromEntries(digests.filter((entry) => entry !== undefined));
  }

  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

  async function writeBlock(place, model, file, index, bytes) {
    const digest = await sha256(bytes);
    await place.put(model, block(file, index), bytes, digest);
    return hex(digest);
  }

  async function read(place, model, file, offset, length, blockBytes) {
    const bytes = new Uint8Array(length);
    const parts = [];
    for (let at = offset; at < offset + length; ) {
      const index = Math.floor(at / blockBytes);
      const start = at - index * blockBytes;
      const count = Math.min(blockBytes - start, offset + length - at);
      parts.push(readInto(place, model, block(file, index), start, bytes.subarray(at - offset).subarray(0, count)));
      at += count;
    }
    await Promise.all(parts);
    return bytes;
  }

  function readInto(place, model, name, start, target) {
    return undisturbed(async () => {
      const blob = await place.get(model, name);
      if (blob === undefined) throw new DOMException("a block was deleted", "NotFoundError");
      target.set(new Uint8Array(await blob.slice(start, start + target.length).arrayBuffer()));
    });
  }

  async function blockDigest(place, model, file, index) {
    const bytes = await undisturbed(async () => {
      const blob = await place.get(model, block(file, index));
      return new Uint8Array(await blob.slice(0, blob.size - DIGEST).arrayBuffer());
    });
    return hex(await sha256(bytes));
  }

  // SubtleCrypto, which is only there in secure contexts, does it elsewhere and quickly.
  async function sha256(bytes) {
    if (globalThis.crypto?.subtle) {
      return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    }
    const digest = new Sha256();
    digest.update(bytes);
    return digest.digest();
  }

  // The primes' roots of FIPS 180-4: fractions of square roots (8) and of cube roots (64).
  const [INITIAL, ROUNDS] = (() => {
    const primes = [];
    for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
    const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
    return [
      Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p))),
      Int32Array.from(primes, (p) => fraction(Math.cbrt(p))),
    ];
  })();

  // SHA-256 that grows (FIPS 180-4): SubtleCrypto wants all bytes at once.
  class Sha256 {
    state = Int32Array.from(INITIAL);
    words = new Int32Array(64);
    rest = new Uint8Array(64);
    held = 0;
    length = 0;

    update(bytes) {
      this.length += bytes.length;
      let at = 0;
      if (this.held > 0) {
        at = Math.min(64 - this.held, bytes.length);
        this.rest.set(bytes.subarray(0, at), this.held);
        this.held += at;
        if (this.held < 64) return;
        this.chunk(new DataView(this.rest.buffer), 0);
        this.held = 0;
      }
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (; at + 64 <= bytes.length; at += 64) this.chunk(view, at);
      this.rest.set(bytes.subarray(at));
      this.held = bytes.length - at;
    }

    digest() {
      const bits = this.length * 8;
      const end = new Uint8Array(this.held < 56 ? 64 - this.held : 128 - this.held);
      end[0] = 0x80;
      const view = new DataView(end.buffer);
      view.setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
      view.setUint32(end.length - 4, bits >>> 0);
      this.update(end);
      const out = new DataView(new ArrayBuffer(32));
      this.state.forEach((word, i) => out.setInt32(4 * i, word));
      return new Uint8Array(out.buffer);
    }

    chunk(view, at) {
      const { state, words: w } = this;
      for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
      for (let i = 16; i < 64; i++) {
        const x = w[i - 15];
        const y = w[i - 2];
        const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
      }
      let a = state[0];
      let b = state[1];
      let c = state[2];
      let d = state[3];
      let e = state[4];
      let f = state[5];
      let g = state[6];
      let h = state[7];
      for (let i = 0; i < 64; i++) {
        const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUNDS[i] + w[i]) | 0;
        const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g;
        g = f;
        f = e;
        e = (d + t1) | 0;
        d = c;
        c = b;
        b = a;
        a = (t1 + t2) | 0;
      }
      state[0] += a;
      state[1] += b;
      state[2] += c;
      state[3] += d;
      state[4] += e;
      state[5] += f;
      state[6] += g;
      state[7] += h;
    }
  }

  // A lock among all tabs and workers of the site; undefined, if another has it. Where there are none,
  // outside secure contexts, everybody gets it.
  async function lock(name, shared) {
    if (!navigator.locks) return { async release() {} };
    return new Promise((resolve, reject) => {
      const options = { mode: shared ? "shared" : "exclusive", ifAvailable: true };
      const ended = navigator.locks.request(`webllm_py ${name}`, options, (granted) => {
        if (granted === null) {
          resolve(undefined);
          return undefined;
        }
        return new Promise((end) => {
          const release = () => {
            end();
            return ended; // when others can have it
          };
          resolve({ release });
        });
      });
      ended.catch(reject);
    });
  }

  // A new file in a directory that the user picked.
  async function createFile(directory, path) {
    const names = path.split("/");
    const last = names.pop();
    for (const name of names) directory = await directory.getDirectoryHandle(name, { create: true });
    return directory.getFileHandle(last, { create: true });
  }

  async function room() {
    const { usage, quota } = (await navigator.storage?.estimate?.()) ?? {};
    const persistent = (await navigator.storage?.persisted?.()) ?? false;
    const free = quota === undefined ? null : Math.max(0, quota - (usage ?? 0));
    return JSON.stringify({ used: usage ?? 0, free, persistent });
  }

  return {
    offered,
    open,
    readState,
    writeState,
    readRecord,
    writeRecord,
    files,
    removeFile,
    blocks,
    writeBlock,
    read,
    blockDigest,
    lock,
    createFile,
    room,
    newSha256: () => new Sha256(),
    hexDigest: (digest) => hex(digest.digest()),
    models: (place) => place.folders(),
    removeModel: (place, model) => place.remove(model),
    removeBlock: (place, model, file, index) => place.remove(model, block(file, index)),
    persist: async () => (await navigator.storage?.persist?.()) ?? false,
  };
})();
