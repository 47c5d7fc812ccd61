// The origin-private file system as a place of places.js. The text is one expression: a function of what
// retries.js gives.
(({ untilFree, orNothing }) => {
  const FILES = "webllm_py files";
  const EARLIER = "webllm_py models"; // where models were kept before

  const encode = (name) => encodeURIComponent(name).replaceAll("*", "%2A");

  // What `work` gives for each item, in their order; some are done at a time.
  async function together(items, work) {
    const found = [];
    for (let at = 0; at < items.length; at += 64) {
      found.push(...(await Promise.all(items.slice(at, at + 64).map(work))));
    }
    return found;
  }

  // Models used to be kept as a file for each block. Nobody reads those any more: they are downloaded again.
  async function dropEarlier(all) {
    try {
      await all.removeEntry(EARLIER, { recursive: true });
      console.info(`webllm_py: models that were kept by an earlier version, "${EARLIER}", were deleted`);
    } catch {
      // there are none, or another tab has them open
    }
  }

  // The origin-private file system: a folder a model, a file a value; disk.js has a model's bytes. In a
  // worker they are written through sync access handles, which is quicker, and all that older Safaris
  // have. The system may bring them to the disk later, as with IndexedDB.
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

  return { FileSystemPlace, encode, together };
});
