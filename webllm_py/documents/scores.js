// Dot products: of every row of a matrix in Python's memory with a vector there. Both come as proxies
// of Python's buffers of float32, which are read in place.
(() => {
  function scores(rows, query) {
    const [matrix, vector] = [rows.getBuffer("f32"), query.getBuffer("f32")];
    try {
      const [a, b] = [matrix.data, vector.data];
      const found = new Float32Array(a.length / b.length);
      for (let row = 0, at = 0; row < found.length; row++) {
        let sum = 0;
        for (let i = 0; i < b.length; i++) sum += a[at++] * b[i];
        found[row] = sum;
      }
      return found;
    } finally {
      matrix.release();
      vector.release();
    }
  }

  return { scores };
})();
