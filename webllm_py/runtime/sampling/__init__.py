"""How a token is drawn: settings, the sampler's kernels, and grammars that the GPU follows."""
