"""Models with random weights and the sizes of real ones, to measure without downloading those."""
