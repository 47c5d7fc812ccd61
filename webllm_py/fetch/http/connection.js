// One URL's reply: asked for, checked against what is known of the file, and received, in whichever
// thread. The text is one expression: a function that gives the classes, so that a worker can be made of
// its text (read_ahead.js).
(() => {
  // Reading on over a gap is quicker than a new request, up to about this many bytes.
  const SKIP_LIMIT = 1 << 20;
  // A body is read into one buffer again and again, but where more is wanted, right into its place.
  const SCRATCH_BYTES = 1 << 19;

  // What went wrong; ../browser.py turns it into a SourceError by its name and status. "Cut" and some
  // statuses may pass, "Changed" is another file, "Source" anything else.
  class Failure extends Error {
    constructor(name, message, status = 0, wait = null) {
      super(message);
      this.name = name;
      this.status = status;
      this.wait = wait;
    }
  }

  // Servers without range support work: what lies before the wanted bytes is read and discarded.
  class Connection {
    // facts {size, etag, modified, ranges, answered, received} is what the replies told about the
    // file; it outlives a broken connection.
    constructor(url, facts, idleSeconds, headers) {
      this.url = url;
      this.facts = facts;
      this.idleSeconds = idleSeconds;
      this.headers = headers;
      this.until = null; // where requests end; null: at the file's end
      this.dead = false;
      this.reply = null; // {body, fills, controller, position, end, rest}; end null: not told
      this.scratch = new ArrayBuffer(0); // what reply.rest lies in, where the body fills views
    }

    // Be ready to receive from `offset` on; the first call learns the file's facts.
    async seek(offset) {
      const { reply, facts } = this;
      const gap = reply === null ? -1 : offset - reply.position;
      const inside = reply !== null && (reply.end === null || offset < reply.end);
      if (gap < 0 || !inside || (gap > SKIP_LIMIT && facts.ranges)) {
        this.hangUp();
        await this.request(offset);
      }
      while (this.reply !== null && this.reply.position < offset) {
        if ((await this.receive(offset - this.reply.position)) === null) return;
      }
    }

    hangUp() {
      const { reply } = this;
      this.reply = null;
      if (reply !== null) reply.controller.abort();
    }

    async request(offset) {
      this.alive();
      const controller = new AbortController();
      const rest = new Uint8Array(0);
      this.reply = { controller, body: null, fills: false, position: 0, end: null, rest };
      // A Range header also makes the browser ask for the bytes as they are, uncompressed, so that
      // Content-Length counts what arrives.
      const range = `bytes=${offset}-${this.until === null ? "" : this.until - 1}`;
      const headers = { ...this.headers, Range: range };
      // What was kept by the browser is kept twice, and it mixes ranges of a file that changed.
      const cache = this.until === null ? "default" : "no-store";
      const answer = await this.timed(() =>
        fetch(this.url, { headers, cache, signal: controller.signal }),
      );
      if (![200, 206, 416].includes(answer.status)) {
        this.fail(
          "HttpStatus",
          answer.statusText,
          answer.status,
          answer.headers.get("Retry-After"),
        );
      }
      if ((answer.headers.get("Content-Type") ?? "").toLowerCase().startsWith("text/html")) {
        this.fail("WebPage", "");
      }
      if (answer.body !== null) this.listen(answer.body);
      this.locate(answer, offset);
    }

    // Take the body's bytes as views that it fills, where it can: half the copies.
    listen(body) {
      const { reply } = this;
      try {
        reply.body = body.getReader({ mode: "byob" });
        reply.fills = true;
      } catch {
        reply.body = body.getReader();
      }
    }

    // Where in the file the reply's body begins and ends, and how long the file is.
    locate(answer, offset) {
      const { reply, facts } = this;
      const encoding = answer.headers.get("Content-Encoding") ?? "identity";
      const told = answer.headers.get("Content-Length");
      const length = told === null || encoding !== "identity" ? null : Number(told);
      let size = null;
      if (answer.status === 200) {
        facts.ranges = false;
        if (this.until !== null && offset > 0) {
          this.checkUnchanged(length, answer.headers);
          this.fail("Cut", `asked for the bytes from ${offset} on, the server sent all of them`);
        }
        reply.end = size = length;
      } else if (answer.status === 206) {
        facts.ranges = true;
        reply.position = offset;
        [reply.end, size] = this.contentRange(answer, offset, length);
      } else {
        // 416: nothing lies there
        const match = /^bytes \*\/(\d{1,15})$/.exec(answer.headers.get("Content-Range") ?? "");
        if (match === null || Number(match[1]) > offset) {
          this.fail("Cut", `the server refuses to send the bytes from ${offset} on`);
        }
        size = Number(match[1]);
        this.hangUp();
      }
      this.checkUnchanged(size, answer.headers);
    }

    contentRange(answer, offset, length) {
      const text = answer.headers.get("Content-Range");
      if (text === null) {
        // A server of another origin may hide this header. The bytes then reach to the file's end,
        // as they were asked for.
        const end = length === null ? null : offset + length;
        return [end, this.until === null || end < this.until ? end : this.facts.size];
      }
      const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(text);
      if (match === null || Number(match[1]) !== offset || Number(match[2]) < offset) {
        this.fail("Cut", `asked for the bytes from ${offset} on, the server sent '${text}'`);
      }
      const end = Number(match[2]) + 1;
      const size = match[3] === "*" ? null : Number(match[3]);
      if ((length !== null && length !== end - offset) || (size !== null && end > size)) {
        this.fail("Cut", `the server contradicts itself: ${length} bytes for '${text}'`);
      }
      return [end, size];
    }

    checkUnchanged(size, headers) {
      const { facts } = this;
      const differs = (value, known) => value !== null && known !== null && value !== known;
      const etag = headers.get("ETag");
      const modified = headers.get("Last-Modified");
      const tagged = etag !== null && facts.etag !== null;
      if (
        differs(size, facts.size) ||
        differs(etag, facts.etag) ||
        (!tagged && differs(modified, facts.modified))
      ) {
        this.fail("Changed", "the file changed while it was read. Load it again.");
      }
      facts.size ??= size;
      facts.etag ??= etag;
      facts.modified ??= modified;
      facts.answered = true;
    }

    // Bytes of the open reply into `bytes`, from `done` on: both as they are then; nothing is added
    // only where the file ends.
    async fill(bytes, done) {
      const { reply } = this;
      if (!reply?.fills || reply.rest.length > 0 || bytes.length - done < SCRATCH_BYTES) {
        const part = await this.receive(bytes.length - done);
        if (part !== null) bytes.set(part, done);
        return [bytes, done + (part?.length ?? 0)];
      }
      const { byteOffset, length } = bytes; // of a buffer that is moved
      const { value } = await this.arrival(bytes.subarray(done));
      this.advance(value.length);
      return [new Uint8Array(value.buffer, byteOffset, length), done + value.length];
    }

    // Some bytes of the open reply, at most `limit`, valid up to the next call; null only where the
    // file ends.
    async receive(limit) {
      const { reply } = this;
      if (reply === null || reply.body === null) return null;
      while (reply.rest.length === 0) {
        if (reply.fills && this.scratch.byteLength === 0) {
          this.scratch = new ArrayBuffer(SCRATCH_BYTES);
        }
        const { value, done } = await this.arrival(new Uint8Array(this.scratch));
        if (reply.fills) this.scratch = value.buffer;
        if (done) return null;
        reply.rest = value;
      }
      const part = reply.rest.subarray(0, limit);
      reply.rest = reply.rest.subarray(part.length);
      this.advance(part.length);
      return part;
    }

    // What the network brings next, in `view` where the body fills views: its buffer is moved. A read
    // that fails loses it.
    async arrival(view) {
      const { reply, facts } = this;
      const { value, done } = await this.timed(() =>
        reply.fills ? reply.body.read(view) : reply.body.read(),
      );
      if (done) {
        if (reply.end !== null && reply.position < reply.end) this.failCut("was cut");
        if (reply.end === null) facts.size = reply.end = reply.position;
      } else {
        facts.received += value.length;
      }
      return { value, done };
    }

    advance(count) {
      const { reply } = this;
      reply.position += count;
      if (reply.end !== null && reply.position > reply.end) {
        this.fail("Cut", `the server sends more than the ${reply.end} bytes it announced`);
      }
    }

    // Wait for the network, but not for ever.
    async timed(start) {
      const { controller } = this.reply;
      let stalled = false;
      const timer = setTimeout(() => {
        stalled = true;
        controller.abort();
      }, this.idleSeconds * 1000);
      try {
        return await start();
      } catch (error) {
        if (stalled) this.failCut(`brought no byte for ${this.idleSeconds} s`);
        this.alive();
        this.failCut(`failed (${error.message})`);
      } finally {
        clearTimeout(timer);
        this.alive();
      }
    }

    alive() {
      if (this.dead) throw new Failure("Source", "the read was cancelled");
    }

    failCut(what) {
      const { body, position, end } = this.reply;
      const where = `at byte ${position}${end === null ? "" : ` of ${end}`}`;
      const hint =
        body === null
          ? "Check the address and the network; a server of another origin must also allow this " +
            "page to read its files (CORS)."
          : "Check the network and load again.";
      this.fail("Cut", `the connection ${what} ${where}. ${hint}`);
    }

    fail(name, message, status = 0, wait = null) {
      this.hangUp();
      throw new Failure(name, message, status, wait);
    }
  }

  return { Failure, Connection };
});
