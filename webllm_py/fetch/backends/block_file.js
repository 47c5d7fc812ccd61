// A file of blocks in the origin-private file system, in a worker. The text is one expression: a function
// of what retries.js gives, which gives the class.
//
// The blocks lie one behind the other in one file, and of each that is whole its SHA-256 in another, 32
// zeros for others: first the bytes are written, then the digest. Both are written through sync access
// handles, which are opened once and let go when another may write. A handle is its opener's alone: who
// finds it taken reads by snapshots of the file, and who has to write waits for it.
(({ untilFree, undisturbed }) => {
  const DIGEST = 32; // bytes

  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const gone = (what) => new DOMException(what, "NotFoundError");

  // One file, of which nothing is opened before it is needed.
  class Part {
    constructor(path, shared) {
      this.path = path;
      this.shared = shared; // nobody writes it: a handle may be had for reading
      this.handle = null;
      this.writes = false; // the handle is one to write with
      this.opening = Promise.resolve(); // one at a time
      this.closed = false;
    }

    async file(create) {
      let folder = await navigator.storage.getDirectory();
      for (const name of this.path.slice(0, -1)) {
        folder = await folder.getDirectoryHandle(name, { create });
      }
      return folder.getFileHandle(this.path.at(-1), { create });
    }

    once(work) {
      const opening = this.opening.then(work);
      this.opening = opening.catch(() => {});
      return opening;
    }

    // Its handle is one to write with from now on.
    openToWrite() {
      return this.once(async () => {
        if (this.writes) return;
        this.handle?.close();
        this.handle = null;
        await untilFree(async () => {
          if (this.closed) throw gone("it was closed");
          this.handle = await (await this.file(true)).createSyncAccessHandle();
          this.writes = true;
        });
      });
    }

    // Its handle is there to read with, unless somebody else has it.
    async openToRead() {
      if (!this.shared) return;
      await this.once(async () => {
        if (!this.shared || this.closed) return;
        const file = await this.file(false);
        this.shared = false;
        try {
          this.handle ??= await file.createSyncAccessHandle({ mode: "read-only" });
        } catch (error) {
          if (error.name !== "NoModificationAllowedError") throw error;
        }
      });
    }

    async size() {
      await this.openToRead();
      return this.handle?.getSize() ?? (await (await this.file(false)).getFile()).size;
    }

    // Read from `at` on into `bytes`; how many there were.
    async read(bytes, at) {
      await this.openToRead();
      if (this.handle) return this.handle.read(bytes, { at });
      return undisturbed(async () => {
        const file = await (await this.file(false)).getFile();
        const found = await file.slice(at, at + bytes.length).arrayBuffer();
        bytes.set(new Uint8Array(found));
        return found.byteLength;
      });
    }

    async write(bytes, at) {
      if (!this.writes) await this.openToWrite();
      if (this.handle.write(bytes, { at }) < bytes.length) {
        throw new DOMException("no room", "QuotaExceededError");
      }
    }

    flush() {
      if (this.writes) this.handle.flush();
    }

    // Others may write until it is written to again; `whole`: nobody will.
    letGo(whole) {
      return this.once(async () => {
        if (!this.writes) return;
        this.handle.close();
        this.handle = null;
        this.writes = false;
        this.shared = whole;
      });
    }

    async close() {
      this.closed = true;
      await this.opening;
      this.handle?.close();
      this.handle = null;
      this.writes = this.shared = false;
    }
  }

  return class BlockFile {
    // `data`, `digests`: their paths; `complete`: all of it is there, and it is only read.
    constructor(data, digests, size, blockBytes, complete) {
      this.data = new Part(data, complete);
      this.digests = new Part(digests, complete);
      this.size = size;
      this.blockBytes = blockBytes;
      this.writing = Promise.resolve(); // until all that began to be written is
    }

    // Where a block begins, and its length.
    range(index) {
      const start = index * this.blockBytes;
      return [start, Math.min(this.blockBytes, this.size - start)];
    }

    // Of each block that is whole its digest, as {index: hexadecimal digits}.
    async blocks() {
      const found = {};
      try {
        const digests = new Uint8Array(await this.digests.size());
        const length = await this.digests.read(digests, 0);
        const end = await this.data.size(); // what was cut lacks what its digests promise
        for (let index = 0; (index + 1) * DIGEST <= length; index++) {
          const digest = digests.subarray(index * DIGEST, (index + 1) * DIGEST);
          const [start, bytes] = this.range(index);
          const is = digest.some((byte) => byte !== 0) && bytes > 0 && start + bytes <= end;
          if (is) found[index] = hex(digest);
        }
      } catch (error) {
        if (error.name !== "NotFoundError") throw error;
      }
      return found;
    }

    // Read into a buffer.
    async read(offset, buffer, length) {
      const bytes = new Uint8Array(buffer, 0, length);
      if (length > 0 && (await this.data.read(bytes, offset)) < length) throw gone("it was cut");
      return bytes;
    }

    // Write a block; its SHA-256. A block that should have another one, if that is known, is not
    // written: undefined then.
    write(index, bytes, expected) {
      const before = this.writing;
      const writing = this.put(index, bytes, expected);
      this.writing = writing.then(
        () => before,
        () => before,
      );
      return writing;
    }

    async put(index, bytes, expected) {
      const digest = await sha256(bytes);
      if (expected !== undefined && hex(digest) !== expected) return undefined;
      try {
        await this.data.write(bytes, index * this.blockBytes);
        await this.digests.write(digest, index * DIGEST);
      } catch (error) {
        throw Object.assign(new Error(error.message), { name: error.name, store: true });
      }
      return hex(digest);
    }

    // The SHA-256 of a block as it is now.
    async digest(index) {
      const [start, length] = this.range(index);
      return hex(await sha256(await this.read(start, new ArrayBuffer(length), length)));
    }

    drop(index) {
      return this.digests.write(new Uint8Array(DIGEST), index * DIGEST);
    }

    // What was written is on the disk then.
    flush() {
      this.data.flush();
      this.digests.flush();
    }

    async letGo(whole) {
      await this.writing;
      await this.data.letGo(whole);
      await this.digests.letGo(whole);
    }

    async close() {
      await this.data.close();
      await this.digests.close();
    }
  };
});
