// The row that gemv.wgsl multiplies with: the splits of attention_split.wgsl, put together as they are
// read. Saves the dispatch of attention_combine.wgsl, but every workgroup reads all splits: for models
// whose dispatches are too small to fill the GPU.
// To be included last: naga takes no override behind an array whose size is computed from others.
// partial: as attention_split.wgsl wrote its only row. step: see epilogue/rope_append.wgsl.

override HEADS: u32;
override HEAD_DIM: u32;
override SPLITS: u32;      // as attention_split.wgsl had them
override KEYS: u32;        // keys a tile there
override STEP_ROWS: u32;

@group(0) @binding(0) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> step: array<u32>;

${attention/span}

var<workgroup> maxima: array<f32, HEADS * SPLITS>;
var<workgroup> factors: array<f32, HEADS * SPLITS>;  // what a split's sums count for
var<private> splits: u32;                             // those that have keys

// Where a split's sums begin; its maximum and weight follow them.
fn split_at(head: u32, s: u32) -> u32 {
  return (head * SPLITS + s) * (HEAD_DIM / 4u + 1u);
}

fn source_ready(thread: u32) {
  let tiles = tiles_of(step[STEP_ROWS + 1u], KEYS);
  let tiles_each = (tiles + SPLITS - 1u) / SPLITS;
  splits = (tiles + tiles_each - 1u) / tiles_each;
  for (var i = thread; i < HEADS * splits; i += THREADS) {
    let head = i / splits;
    let end = partial[split_at(head, i % splits) + HEAD_DIM / 4u];
    maxima[head * SPLITS + i % splits] = end.x;
    factors[head * SPLITS + i % splits] = end.y;
  }
  workgroupBarrier();
  for (var head = thread; head < HEADS; head += THREADS) {
    let first = head * SPLITS;
    var most = -1e30;
    for (var s = 0u; s < splits; s++) {
      most = max(most, maxima[first + s]);
    }
    var weight = 0.0;
    for (var s = 0u; s < splits; s++) {
      let shrink = exp(maxima[first + s] - most);
      weight += factors[first + s] * shrink;
      maxima[first + s] = shrink;
    }
    for (var s = 0u; s < splits; s++) {
      factors[first + s] = maxima[first + s] / weight;
    }
  }
  workgroupBarrier();
}

// Columns 4 * i .. 4 * i + 3; zeros past the last head.
fn source(i: u32) -> vec4<f32> {
  let head = i / (HEAD_DIM / 4u);
  var sum = vec4<f32>();
  if (head >= HEADS) {
    return sum;
  }
  let stride = HEAD_DIM / 4u + 1u;
  let first = head * SPLITS;
  var at = split_at(head, 0u) + i % (HEAD_DIM / 4u);
  var s = 0u;
  for (; s + 4u <= splits; s += 4u) {
    let a = partial[at];
    let b = partial[at + stride];
    let c = partial[at + 2u * stride];
    let d = partial[at + 3u * stride];
    sum += a * factors[first + s] + b * factors[first + s + 1u]
         + c * factors[first + s + 2u] + d * factors[first + s + 3u];
    at += 4u * stride;
  }
  for (; s < splits; s++) {
    sum += partial[at] * factors[first + s];
    at += stride;
  }
  return sum;
}

// What lora/parts.wgsl takes a part for: attention_split.wgsl has made one of each head's splits.
fn part_weight(part: u32) -> f32 {
  return select(0.0, factors[part], part % SPLITS < splits);
}
