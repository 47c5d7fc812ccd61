// One URL as a stream, in whichever thread. The text is one expression: a function of connection.js's
// that gives the classes, so that a worker can be made of their texts (read_ahead.js).
((connection) => {
  const { Failure, Connection } = connection();

  // A stream that can jump. Reading on where the last read ended costs no request.
  class UrlStream extends Connection {
    ahead = null; // {offset, bytes}: what readAhead gave, which read begins with

    // As read, and with the bytes that came along, up to `most` in all. The next read that begins among
    // them takes them from here, without a request.
    async readAhead(offset, length, most) {
      const asked = await this.read(offset, length);
      const more = this.atHand(most - asked.length);
      const bytes = new Uint8Array(asked.length + more.length);
      bytes.set(asked);
      bytes.set(more, asked.length);
      this.ahead = { offset, bytes };
      return bytes;
    }

    // Bytes of the open reply that are there already.
    atHand(most) {
      const { reply } = this;
      if (reply === null) return new Uint8Array(0);
      const left = reply.end === null ? most : Math.min(most, reply.end - reply.position);
      const part = reply.rest.subarray(0, Math.max(0, left));
      reply.rest = reply.rest.subarray(part.length);
      reply.position += part.length;
      return part;
    }

    // Begin `bytes` with what was read ahead, if that has its first byte; how many bytes these were.
    takeAhead(offset, bytes) {
      const { ahead } = this;
      if (ahead === null) return 0;
      const start = offset - ahead.offset;
      const part = start < 0 ? bytes.subarray(0, 0) : ahead.bytes.subarray(start, start + bytes.length);
      if (part.length < bytes.length) this.ahead = null;
      bytes.set(part);
      return part.length;
    }

    // At most `length` bytes from `offset`; fewer only where the file ends. `buffer` is used up, if
    // they fit into it.
    async read(offset, length, buffer) {
      if (!this.facts.answered) await this.seek(offset);
      const { size } = this.facts;
      if (size !== null) length = Math.max(0, Math.min(length, size - offset));
      const fits = buffer !== undefined && buffer.byteLength >= length;
      let bytes = fits ? new Uint8Array(buffer, 0, length) : new Uint8Array(length);
      let done = this.takeAhead(offset, bytes);
      let before = -1;
      while (before < done && done < length) {
        before = done;
        // A server may send less than asked for in one reply: seek then asks for the rest.
        await this.seek(offset + done);
        [bytes, done] = await this.fill(bytes, done);
      }
      return done < length ? bytes.subarray(0, done) : bytes;
    }

    // As read, but a failure that may pass is thrown only if nothing came before it.
    async readSome(offset, length, until) {
      this.until = until ?? null;
      const bytes = new Uint8Array(length);
      let done = 0;
      try {
        while (done < length && !(this.facts.size !== null && offset + done >= this.facts.size)) {
          await this.seek(offset + done);
          const part = await this.receive(length - done);
          if (part === null) break;
          bytes.set(part, done);
          done += part.length;
        }
      } catch (error) {
        if (done === 0 || error.name !== "Cut") throw error;
      }
      return done < length ? bytes.subarray(0, done) : bytes;
    }

    // The whole file; undefined, which is None to Python, if it has more than `limit` bytes.
    async readAll(limit) {
      const parts = [];
      let done = 0;
      await this.seek(0);
      while (this.facts.size === null || done < this.facts.size) {
        await this.seek(done);
        const part = await this.receive(limit + 1);
        if (part === null) break;
        parts.push(part.slice());
        done += part.length;
        if (done > limit) return undefined;
      }
      const bytes = new Uint8Array(done);
      let at = 0;
      for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
      }
      return bytes;
    }

    pause() {
      this.hangUp();
    }

    // Make a read in progress fail now; the stream is dead afterwards.
    abort() {
      this.dead = true;
      this.hangUp();
    }
  }

  return { Failure, UrlStream };
});
