// The step, where neither the epilogue nor the source of a linear kernel reads it.

@group(0) @binding(5) var<storage, read> step: array<u32>;
