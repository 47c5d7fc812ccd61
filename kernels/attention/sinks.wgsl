// A score of each head that takes its part of the softmax and has no value (attention sinks, as in
// gpt-oss; arXiv 2309.17453).
@group(0) @binding(4) var<storage, read> sinks: array<f32>;

fn sink_of(head: u32) -> f32 {
  return sinks[head];
}
