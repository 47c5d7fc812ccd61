// Where a browser keeps values: four places, each a few calls. The text is one expression: a function of
// what file_system.js gives.
//
// A place keeps values under two-part names: put(folder, name, ...Uint8Arrays), get(folder, name) ->
// Blob or undefined, names(folder) -> {name: bytes}, folders(), remove(folder, name or undefined).
(({ FileSystemPlace, encode, together }) => {
  const ROOT = "webllm_py models";

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

  // The kinds that this browser offers here, the best first: outside of secure contexts some are missing.
  function offered(disk) {
    return Object.keys(PLACES).filter((kind) => PLACES[kind][0](disk));
  }

  function open(kind) {
    opened[kind] ??= new PLACES[kind][1]();
    return opened[kind];
  }

  return { offered, open };
});
