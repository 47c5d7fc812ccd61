"""Vectors that are added to hidden states, against numpy."""

from __future__ import annotations

import numpy as np
from runners import Runner

from webllm_py.gpu.kernels import kernel


async def test_steer(runner: Runner, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 96)).astype(np.float32)
    vector = rng.standard_normal(96).astype(np.float32)
    out = await runner.run(kernel("steer", BLOCKS=3), {"vector": vector, "x": x}, (1, 3))
    np.testing.assert_array_equal(out["x"], x + vector)
