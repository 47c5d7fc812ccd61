// Reading files in JavaScript, so that their bytes never enter Python's memory, with one promise a
// read instead of one a network packet. The Python half is browser.py. The text is one expression: a
// function of what http/read_ahead.js gives.
((AheadStream) => {
  async function readBlob(blob, offset, length) {
    return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  }

  // The File at `path` in a FileSystemDirectoryHandle; undefined if there is none.
  async function openInDirectory(handle, path) {
    const names = path.split("/");
    const last = names.pop();
    try {
      for (const name of names) handle = await handle.getDirectoryHandle(name);
      return await (await handle.getFileHandle(last)).getFile();
    } catch (error) {
      if (["NotFoundError", "TypeMismatchError", "TypeError"].includes(error.name)) return undefined;
      throw error;
    }
  }

  async function listDirectory(handle) {
    const names = [];
    for await (const [name, entry] of handle.entries()) {
      if (entry.kind === "file") names.push(name);
    }
    return names.sort();
  }

  // What a JavaScript object is, among the things that can be read.
  function kindOf(object) {
    if (object instanceof Blob) return "blob";
    if (object instanceof URL) return "url";
    if (object?.kind === "directory" && "getFileHandle" in object) return "directory";
    if (object?.kind === "file" && "getFile" in object) return "handle";
    return "other";
  }

  // Texts in the Cache API, under addresses that nobody serves.
  const cached = (kind, name) => new Request(`https://webllm-py.invalid/${kind}/${name}`);

  async function cachedText(kind, name) {
    const cache = await caches.open(`webllm_py ${kind}`);
    return (await cache.match(cached(kind, name)))?.text();
  }

  async function cacheText(kind, name, text) {
    const cache = await caches.open(`webllm_py ${kind}`);
    await cache.put(cached(kind, name), new Response(text));
  }

  return {
    openUrl: (url, facts, idleSeconds, headers) =>
      new AheadStream(url, facts, idleSeconds, JSON.parse(headers)),
    newFacts: (size, etag, modified) => ({
      size: size ?? null,
      etag: etag ?? null,
      modified: modified ?? null,
      ranges: true,
      answered: size !== undefined,
      received: 0,
    }),
    absoluteUrl: (url) => new URL(url, globalThis.webllm_py_base ?? globalThis.location?.href).href,
    toArray: (list) => Array.from(list),
    readBlob,
    openInDirectory,
    listDirectory,
    kindOf,
    cachedText,
    cacheText,
  };
});
