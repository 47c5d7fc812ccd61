// Where a browser keeps values: four places, each a few calls. The text is one expression.
//
// A place keeps values under two-part names: put(folder, name, ...Uint8Arrays), get(folder, name) ->
// Blob or undefined, names(folder) -> {name: bytes}, folders(), remove(folder, name or undefined).
(() => {
  const ROOT = "webllm_py models";
  const FILES = "webllm_py files"; // the same in the origin-private file system
  const RETRY_SECONDS = 0.05;
  const MOST_TRIES = 200; // of what is open elsewhere

  const encode = (name) => encodeURIComponent(name).replaceAll("*", "%2A");

  // The origin-private file system: a folder a model, a file a value; disk.js has a model's bytes. In a
  // worker they are written through sync access handles, which is quicker, and all that older Safaris
  // have. The system may take its time to bring them to the disk, as with IndexedDB.
  class FileSystemPlace {
    constructor(name = FILES) {
      this.name = name;
      this.written = {}; // folders, once something is put into them
      this.writing = new Map(); // files that are being written, by folder and name
    }

    root() {
      this.top ??= this.begin();
      return this.top;
    }

    async begin() {
      const all = await navigator.storage.getDirectory();
      if (this.name === FILES) await dropEarlier(all);
      return all.getDirectoryHandle(this.name, { create: true });
    }

    // Where a value, or a model's bytes, are: names from the top on.
    path(folder, name) {
      return [this.name, encode(folder), encode(name)];
    }

    async folder(name, create = false) {
      return (await this.root()).getDirectoryHandle(encode(name), { create });
    }

    // A new file, or one that is there; the folder is found once for all of its files.
    async file(folder, name) {
      const find = async () => {
        this.written[folder] ??= this.folder(folder, true);
        return (await this.written[folder]).getFileHandle(encode(name), { create: true });
      };
      try {
        return await find();
      } catch {
        delete this.written[folder]; // it may have been deleted meanwhile
        return find();
      }
    }

    // One at a time of a name: a file that is being written cannot be opened for writing again.
    async put(folder, name, ...parts) {
      const key = JSON.stringify([folder, name]);
      const before = this.writing.get(key)?.catch(() => {});
      const writing = Promise.resolve(before).then(() => this.write(folder, name, parts));
      this.writing.set(key, writing);
      try {
        await writing;
      } finally {
        if (this.writing.get(key) === writing) this.writing.delete(key);
      }
    }

    async write(folder, name, parts) {
      const file = await this.file(folder, name);
      if (file.createSyncAccessHandle && globalThis.WorkerGlobalScope) {
        const handle = await untilFree(() => file.createSyncAccessHandle());
        try {
          let at = 0;
          for (const part of parts) {
            const count = handle.write(part, { at });
            if (count < part.length) throw new DOMException("no room", "QuotaExceededError");
            at += count;
          }
          if (handle.getSize() > at) handle.truncate(at);
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
      const removed = async () => {
        if (name === undefined) {
          await (await this.root()).removeEntry(encode(folder), { recursive: true });
        } else {
          await (await this.folder(folder)).removeEntry(encode(name));
        }
      };
      await untilFree(() => orNothing(removed));
    }
  }

  // What is open in another tab is written or removed when it is closed there.
  async function untilFree(work) {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (error.name !== "NoModificationAllowedError" || tries === MOST_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1000 * RETRY_SECONDS));
      }
    }
  }

  // Models were kept as a file a block, which nobody reads any more: they are downloaded again.
  async function dropEarlier(all) {
    try {
      await all.removeEntry(ROOT, { recursive: true });
      console.info(`webllm_py: models that were kept by an earlier version, "${ROOT}", were deleted`);
    } catch {
      // there are none, or another tab has them open
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

  // `disk`: what disk.js gives.
  const PLACES = {
    opfs: [
      (disk) => typeof navigator.storage?.getDirectory === "function" && disk.possible(),
      FileSystemPlace,
    ],
    cache: [() => typeof caches !== "undefined", CachePlace],
    indexeddb: [() => typeof indexedDB !== "undefined", DatabasePlace],
    memory: [() => true, MemoryPlace],
  };
  const opened = {};

  // The kinds that this browser offers here, the best first: outside a secure context some are missing.
  function offered(disk) {
    return Object.keys(PLACES).filter((kind) => PLACES[kind][0](disk));
  }

  function open(kind) {
    opened[kind] ??= new PLACES[kind][1]();
    return opened[kind];
  }

  return { offered, open, together, orNothing, FileSystemPlace };
})();
