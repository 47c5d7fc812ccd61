// Models in a browser: files of blocks in one of the places of places.js; bytes stay in JavaScript. The
// Python half is browser_backend.py. The text is one expression: a function of what places.js, file_system.js,
// retries.js and disk.js give.
//
// In the origin-private file system a file's blocks are disk.js's. Elsewhere a block is a value of a
// place, with its SHA-256 behind it: what was cut off has another length.
(({ offered, open }, { FileSystemPlace, together }, { undisturbed, orNothing }, disk) => {
  const DIGEST = 32; // bytes
  const RECORD = "r ";
  const block = (file, index) => `b ${index} ${file}`;
  const BYTES = "f "; // the files of disk.js
  const DIGESTS = "d ";

  // A file of disk.js; `complete`: all of it is there, and it is only read.
  function openFile(place, model, file, size, blockBytes, complete) {
    const [data, digests] = [BYTES, DIGESTS].map((kind) => place.path(model, kind + file));
    return disk.openFile(data, digests, size, blockBytes, complete);
  }

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
    const own = /^(?:[rfd]|b \d+) /;
    const names = Object.keys(await place.names(model));
    for (const name of names.sort().reverse()) { // the record first: bytes without one are nothing
      const match = own.exec(name);
      if (match && name.slice(match[0].length) === file) await place.remove(model, name);
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

  // SubtleCrypto, which works beside this thread; outside secure contexts there is none.
  const subtle = globalThis.crypto?.subtle;

  // The SHA-256 in hexadecimal digits; `known`: the same, where there is no SubtleCrypto.
  async function writeBlock(place, model, file, index, bytes, known) {
    const digest = known ?? new Uint8Array(await subtle.digest("SHA-256", bytes));
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
      const bytes = new Uint8Array(await blob.slice(start, start + target.length).arrayBuffer());
      if (bytes.length < target.length) throw new DOMException("a block was cut", "NotFoundError");
      target.set(bytes);
    });
  }

  // A block as it is now: its SHA-256 in hexadecimal digits, or its bytes where that takes Python.
  async function blockDigest(place, model, file, index) {
    const bytes = await undisturbed(async () => {
      const blob = await place.get(model, block(file, index));
      return new Uint8Array(await blob.slice(0, blob.size - DIGEST).arrayBuffer());
    });
    return subtle ? hex(new Uint8Array(await subtle.digest("SHA-256", bytes))) : bytes;
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
    offered: () => offered(disk),
    open,
    openFile,
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
    hashes: Boolean(subtle),
    models: (place) => place.folders(),
    removeModel: (place, model) => place.remove(model),
    removeBlock: (place, model, file, index) => place.remove(model, block(file, index)),
    persist: async () => (await navigator.storage?.persist?.()) ?? false,
  };
});
