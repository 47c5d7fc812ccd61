// The pairs of a chunk's rows and their experts, sorted by expert, and cut into tiles of one expert's.
//
// Purpose   mixtures of experts in chunks of many rows: an expert's weights are read for a tile of rows
// Bindings  0 route   see route.wgsl
//           1 step    [0] rows that count
//           2 groups  [TILES][4]: a tile's expert, its first pair below, how many these are (0 where there
//                     are no more tiles), nothing; then the pairs, row * TOP + i each, by expert
// Dispatch  1 workgroup
// Assumes   room for as many tiles as there may be: see models/mixture.py
//
// In what order an expert's pairs come is left to the GPU: what is computed of a pair does not depend on it.

${enables}

override EXPERTS: u32;
override TOP: u32;
override TILE: u32;      // most pairs of a tile
override TILES: u32;
override THREADS: u32;

@group(0) @binding(0) var<storage, read> route: array<u32>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read_write> groups: array<u32>;

var<workgroup> counts: array<atomic<u32>, EXPERTS>;
var<workgroup> places: array<atomic<u32>, EXPERTS>;  // of the next pair of each

fn write_tile(tile: u32, expert: u32, first: u32, pairs: u32) {
  groups[4u * tile] = expert;
  groups[4u * tile + 1u] = first;
  groups[4u * tile + 2u] = pairs;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  let pairs = step[0] * TOP;
  for (var expert = thread; expert < EXPERTS; expert += THREADS) {
    atomicStore(&counts[expert], 0u);
  }
  workgroupBarrier();
  for (var pair = thread; pair < pairs; pair += THREADS) {
    atomicAdd(&counts[route[2u * pair]], 1u);
  }
  workgroupBarrier();
  var first = 0u;
  var tile = 0u;
  for (var expert = 0u; expert < EXPERTS; expert++) {
    let count = atomicLoad(&counts[expert]);
    if (expert % THREADS == thread) {
      atomicStore(&places[expert], first);
      for (var at = 0u; at < count; at += TILE) {
        write_tile(tile + at / TILE, expert, first + at, min(TILE, count - at));
      }
    }
    first += count;
    tile += (count + TILE - 1u) / TILE;
  }
  for (tile += thread; tile < TILES; tile += THREADS) {
    write_tile(tile, 0u, 0u, 0u);
  }
  workgroupBarrier();
  for (var pair = thread; pair < pairs; pair += THREADS) {
    let place = atomicAdd(&places[route[2u * pair]], 1u);
    groups[4u * TILES + place] = pair;
  }
}
