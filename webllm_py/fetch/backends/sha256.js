// SHA-256 (FIPS 180-4) of bytes that come one after the other, which SubtleCrypto does not do. The text
// is one expression: a function that gives the class. The rounds are WebAssembly, written out below: it
// has rotations, and takes half of the time of the same in JavaScript.
(() => {
  const CHUNK = 64;
  const PIECE = 1 << 20; // of what is digested at once
  const DATA = 64; // where a piece lies in WebAssembly's memory, behind the state
  const primes = [2];
  for (let n = 3; primes.length < 64; n += 2) if (primes.every((p) => n % p)) primes.push(n);
  const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
  const START = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
  const K = primes.map((p) => fraction(Math.cbrt(p)));

  // WebAssembly's binary format (its core specification, chapter 5): numbers, and instructions.
  function unsigned(n) {
    return n < 128 ? [n] : [(n % 128) | 128, ...unsigned(Math.floor(n / 128))];
  }
  function signed(n) {
    return -64 <= n && n < 64 ? [n & 127] : [(n & 127) | 128, ...signed(n >> 7)];
  }
  const section = (id, ...content) => [id, ...unsigned(content.length), ...content];
  const get = (local) => [0x20, local];
  const set = (local) => [0x21, local];
  const number = (n) => [0x41, ...signed(n)];
  const load = (address, offset) => [...address, 0x28, 2, ...unsigned(offset)];
  const two = (operation) => (x, y) => [...x, ...y, operation];
  const add = (...terms) => terms.reduce(two(0x6a));
  const [and, or, xor, shift] = [0x71, 0x72, 0x73, 0x76].map(two);
  const rotate = (x, n) => two(0x78)(x, number(n)); // to the right

  // compress(at, end): the chunks that lie there, into the state.
  function compress() {
    const [at, end] = [0, 1];
    const state = Array.from({ length: 8 }, (_, i) => 2 + i); // a to h
    const words = Array.from({ length: 16 }, (_, i) => 10 + i);
    const body = [];
    const turned = (x, n, m, last) => xor(xor(rotate(x, n), rotate(x, m)), last);
    state.forEach((local, i) => body.push(...load(number(0), 4 * i), ...set(local)));
    words.forEach((local, i) => {
      body.push(...load(get(at), 4 * i), ...set(local));
      const outer = and(rotate(get(local), 24), number(0x00ff00ff)); // from big endian
      const inner = and(rotate(get(local), 8), number(0xff00ff00 | 0));
      body.push(...or(outer, inner), ...set(local));
    });
    for (let t = 0; t < 64; t++) {
      const [a, b, c, d, e, f, g, h] = state.map((_, i) => state[(i - t + 64) % 8]);
      const word = (back) => get(words[(t - back + 16) % 16]);
      if (t >= 16) {
        const s0 = turned(word(15), 7, 18, shift(word(15), number(3)));
        const s1 = turned(word(2), 17, 19, shift(word(2), number(10)));
        body.push(...add(word(16), s0, word(7), s1), ...set(words[t % 16]));
      }
      const S1 = turned(get(e), 6, 11, rotate(get(e), 25));
      const S0 = turned(get(a), 2, 13, rotate(get(a), 22));
      const choice = xor(get(g), and(get(e), xor(get(f), get(g))));
      const majority = or(and(get(a), get(b)), and(get(c), or(get(a), get(b))));
      body.push(...add(get(h), S1, choice, number(K[t]), word(0)), ...set(h));
      body.push(...add(get(d), get(h)), ...set(d));
      body.push(...add(get(h), S0, majority), ...set(h));
    }
    state.forEach((local, i) => {
      body.push(...number(0), ...add(load(number(0), 4 * i), get(local)), 0x36, 2, 4 * i);
    });
    body.push(...add(get(at), number(CHUNK)), 0x22, at, ...get(end), 0x49); // at < end
    return [1, ...unsigned(24), 0x7f, 0x03, 0x40, ...body, 0x0d, 0, 0x0b, 0x0b]; // a loop
  }

  const text = (name) => [name.length, ...new TextEncoder().encode(name)];
  const code = compress();
  const module = new WebAssembly.Module(
    new Uint8Array([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(1, 1, 0x60, 2, 0x7f, 0x7f, 0), // a type: two i32, nothing
      ...section(3, 1, 0), // a function of it
      ...section(5, 1, 0, ...unsigned(1 + PIECE / 65536)), // a memory
      ...section(7, 2, ...text("memory"), 2, 0, ...text("compress"), 0, 0),
      ...section(10, 1, ...unsigned(code.length), ...code),
    ]),
  );

  return class Sha256 {
    constructor() {
      const { memory, compress } = new WebAssembly.Instance(module).exports;
      this.compress = compress;
      this.bytes = new Uint8Array(memory.buffer, DATA, PIECE);
      this.state = new DataView(memory.buffer, 0, 4 * START.length);
      START.forEach((word, i) => this.state.setInt32(4 * i, word, true));
      this.count = 0; // bytes that wait in `bytes`, less than a chunk
      this.length = 0;
    }

    add(bytes) {
      this.length += bytes.length;
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + PIECE - this.count);
        this.bytes.set(part, this.count);
        at += part.length;
        this.count += part.length;
        const whole = this.count - (this.count % CHUNK);
        if (whole > 0) this.compress(DATA, DATA + whole);
        this.bytes.copyWithin(0, whole, this.count);
        this.count -= whole;
      }
    }

    // In hexadecimal digits; nothing can be added behind it.
    digest() {
      const zeros = (2 * CHUNK - 9 - this.count) % CHUNK;
      const end = new DataView(new ArrayBuffer(1 + zeros + 8));
      end.setUint8(0, 0x80);
      end.setBigUint64(1 + zeros, 8n * BigInt(this.length));
      this.add(new Uint8Array(end.buffer));
      const words = START.map((_, i) => this.state.getUint32(4 * i, true));
      return words.map((word) => word.toString(16).padStart(8, "0")).join("");
    }
  };
});
