// What disk.js's worker does: reads and writes files of blocks, and fetches blocks right into them. The text is
// one expression: a function of what block_file.js, url_stream.js and digest.js give, which gives the worker's
// calls by name; each returns a promise.
((BlockFile, UrlStream, Digest) => {
  const MIB = 1 << 20;

  // Fetches blocks of a URL into a file, over one connection at a time. After a failure it goes on with what came
  // before.
  class Fetch {
    constructor(file, url, facts, idleSeconds, headers) {
      this.file = file;
      this.stream = new UrlStream(url, facts, idleSeconds, headers);
      this.block = new Uint8Array(file.blockBytes);
      this.at = 0; // where in the URL's file the next byte of `block` is
      this.done = 0; // bytes of `block`
    }

    // Fetch blocks, and call `wrote` for each that is written. Returns the numbers of those that came with another
    // digest than `expected`.
    async run(first, last, expected, wrote) {
      const [end, length] = this.file.range(last);
      this.stream.until = end + length;
      const wrong = [];
      for (let index = first; index <= last; index++) {
        const [start, length] = this.file.range(index);
        if (this.at !== start + this.done) this.done = 0;
        await this.receive(start, length);
        this.done = 0;
        const bytes = this.block.subarray(0, length);
        const digest = await this.file.write(index, bytes, expected?.[index - first]);
        if (digest === undefined) wrong.push(index);
        else wrote(index, digest);
      }
      return wrong;
    }

    async receive(start, length) {
      const { stream } = this;
      while (this.done < length) {
        await stream.seek(start + this.done);
        const part = await stream.receive(length - this.done);
        if (part === null) stream.fail("Source", `it ended at byte ${start + this.done}`);
        this.block.set(part, this.done);
        this.done += part.length;
        this.at = start + this.done;
      }
    }

    // What the replies told since the last call.
    told() {
      const { ranges, received } = this.stream.facts;
      this.stream.facts.received = 0;
      return { ranges, received };
    }
  }

  // Let the calls that have come meanwhile begin.
  const { port1, port2 } = new MessageChannel();
  const turns = [];
  port1.onmessage = () => turns.shift()();
  const turn = () =>
    new Promise((resolve) => {
      turns.push(resolve);
      port2.postMessage(0);
    });

  const files = new Map();
  const fetches = new Map();
  const digests = new Map();
  const spare = []; // buffers that came back

  // A spare buffer that is long enough, or a new one: of whole MiB, so that it will do for other reads too.
  function buffer(length) {
    const at = spare.findIndex((one) => one.byteLength >= length);
    if (at >= 0) return spare.splice(at, 1)[0];
    spare.shift();
    return new ArrayBuffer(length < MIB ? length : Math.ceil(length / MIB) * MIB);
  }

  return {
    async openFile(id, ...args) {
      files.set(id, new BlockFile(...args));
    },
    blocks: (id) => files.get(id).blocks(),
    read: (id, offset, length) => files.get(id).read(offset, buffer(length), length),
    write: (id, index, bytes) => files.get(id).write(index, bytes),
    digestBlock: (id, index) => files.get(id).digest(index),
    drop: (id, index) => files.get(id).drop(index),
    async flush(id) {
      files.get(id).flush();
    },
    letGo: (id, whole) => files.get(id).letGo(whole),
    async closeFile(id) {
      await files.get(id).close();
      files.delete(id);
    },
    async release(buffer) {
      spare.push(buffer);
    },
    async openFetch(id, file, ...args) {
      fetches.set(id, new Fetch(files.get(file), ...args));
    },
    async runFetch(id, first, last, expected, wrote) {
      const fetching = fetches.get(id);
      try {
        const wrong = await fetching.run(first, last, expected, wrote);
        return { wrong, facts: fetching.told() };
      } catch (error) {
        throw Object.assign(error, { facts: fetching.told() });
      }
    },
    async closeFetch(id) {
      fetches.get(id).stream.abort();
      fetches.delete(id);
    },
    async openDigest(id) {
      digests.set(id, new Digest());
    },
    async addToDigest(id, file, offset, length) {
      let piece = new ArrayBuffer(MIB); // other calls may begin after each piece
      for (let at = offset; at < offset + length; at += MIB) {
        const count = Math.min(MIB, offset + length - at);
        await files.get(file).read(at, piece, count);
        piece = await digests.get(id).add(piece, count);
        await turn();
      }
    },
    endDigest: (id) => digests.get(id).end(),
    async closeDigest(id) {
      digests.get(id).close();
      digests.delete(id);
    },
  };
});
