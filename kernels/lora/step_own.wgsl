// The step, where nothing else in the kernel reads it.

@group(0) @binding(5) var<storage, read> step: array<u32>;
