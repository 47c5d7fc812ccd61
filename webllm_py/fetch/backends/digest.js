// SHA-256 in a worker of its own, where there can be one, or in this thread. The text is one expression:
// a function of sha256.js's that gives the class.
((sha256) => {
  function serve(Sha256) {
    const digest = new Sha256();
    onmessage = ({ data: { buffer, length } }) => {
      if (buffer === undefined) {
        postMessage(digest.digest());
      } else {
        digest.add(new Uint8Array(buffer, 0, length));
        postMessage(buffer, [buffer]);
      }
    };
    postMessage("ready");
  }

  return class Digest {
    constructor() {
      const text = `(${serve})((${sha256})());`;
      this.address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      this.here = null;
      try {
        this.worker = new Worker(this.address, { name: "webllm_py digests" });
        this.begun = this.answer();
      } catch {
        this.begun = Promise.resolve(null);
      }
    }

    // What the worker says next; null, if it cannot be.
    answer() {
      return new Promise((resolve) => {
        this.worker.onmessage = ({ data }) => resolve(data);
        this.worker.onerror = (event) => {
          event.preventDefault();
          resolve(null);
        };
      });
    }

    // What comes next lies at the beginning of a buffer: the same, when it is digested.
    async add(buffer, length) {
      if ((await this.begun) === null) {
        this.here ??= new (sha256())();
        this.here.add(new Uint8Array(buffer, 0, length));
        return buffer;
      }
      const answer = this.answer();
      this.worker.postMessage({ buffer, length }, [buffer]);
      return answer;
    }

    // In hexadecimal digits; nothing can be added behind it.
    async end() {
      if ((await this.begun) === null) return (this.here ?? new (sha256())()).digest();
      const answer = this.answer();
      this.worker.postMessage({});
      return answer;
    }

    close() {
      this.worker?.terminate();
      URL.revokeObjectURL(this.address);
    }
  };
});
