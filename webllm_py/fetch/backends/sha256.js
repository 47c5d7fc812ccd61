// SHA-256 (FIPS 180-4) of bytes that come one after the other, which SubtleCrypto does not do. The text
// is one expression: a function that gives the class.
(() => {
  const CHUNK = 64;
  const primes = [2];
  for (let n = 3; primes.length < 64; n += 2) if (primes.every((p) => n % p)) primes.push(n);
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
  const START = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
  const K = new Int32Array(primes.map((p) => fraction(Math.cbrt(p))));

  return class Sha256 {
    state = new Int32Array(START);
    words = new Int32Array(64);
    rest = new Uint8Array(0); // less than a chunk
    length = 0;

    add(bytes) {
      this.length += bytes.length;
      if (this.rest.length > 0) {
        const missing = bytes.subarray(0, CHUNK - this.rest.length);
        bytes = bytes.subarray(missing.length);
        this.rest = joined(this.rest, missing);
        if (this.rest.length < CHUNK) return;
        this.compress(this.rest);
      }
      const whole = bytes.length - (bytes.length % CHUNK);
      this.compress(bytes.subarray(0, whole));
      this.rest = bytes.slice(whole);
    }

    // In hexadecimal digits; nothing can be added behind it.
    digest() {
      const bits = 8 * this.length;
      const zeros = (2 * CHUNK - 9 - (this.length % CHUNK)) % CHUNK;
      const end = new DataView(new ArrayBuffer(1 + zeros + 8));
      end.setUint8(0, 0x80);
      end.setUint32(1 + zeros, Math.floor(bits / 2 ** 32));
      end.setUint32(1 + zeros + 4, bits % 2 ** 32);
      this.add(new Uint8Array(end.buffer));
      return Array.from(this.state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    }

    // The names are the standard's.
    compress(bytes) {
      const { state, words: w } = this;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let at = 0; at < bytes.length; at += CHUNK) {
        for (let t = 0; t < 16; t++) w[t] = view.getInt32(at + 4 * t);
        for (let t = 16; t < 64; t++) {
          const x = w[t - 15];
          const y = w[t - 2];
          const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
          const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
          w[t] = (((s1 + w[t - 7]) | 0) + ((s0 + w[t - 16]) | 0)) | 0;
        }
        let a = state[0];
        let b = state[1];
        let c = state[2];
        let d = state[3];
        let e = state[4];
        let f = state[5];
        let g = state[6];
        let h = state[7];
        for (let t = 0; t < 64; t++) {
          const S1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
          const S0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
          const t1 = (((h + S1) | 0) + (((e & f) ^ (~e & g)) + ((K[t] + w[t]) | 0))) | 0;
          const t2 = (S0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
          h = g;
          g = f;
          f = e;
          e = (d + t1) | 0;
          d = c;
          c = b;
          b = a;
          a = (t1 + t2) | 0;
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
      }
    }
  };

  function joined(first, second) {
    const bytes = new Uint8Array(first.length + second.length);
    bytes.set(first);
    bytes.set(second, first.length);
    return bytes;
  }
});
