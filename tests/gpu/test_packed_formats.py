"""GPTQ, AWQ and 8-bit floats from a file's bytes to results: kernels compute what numpy decodes.

The layout between the loading kernels and the readers is theirs alone: the tests see both ends.
"""

from __future__ import annotations

import numpy as np
import pytest
from linear_kernels import embedded, multiplied
from packed import PACKED
from placing import placed, tensor_of
from runners import Runner, of_native

from webllm_py.models.weights import Matrix, Part
from webllm_py.runtime.weights.storage import slice_plans

# Columns, and the format that they become.
CASES = [
    ("gptq 64", 192, "affine4_64"),
    ("gptq 128", 256, "affine4_128"),
    ("gptq row", 96, "affine4_32"),
    ("gptq_v2 8 bits", 256, "affine8_128"),
    ("gptq 8 bits row", 160, "affine8_32"),
    ("awq 128", 256, "affine4_128"),
    ("fp8", 101, "fp8_32"),
    ("fp8 rows", 256, "fp8_128"),
    ("fp8 tiles", 300, "fp8_32"),
    ("fp8 tiles", 384, "fp8_128"),
]
IN_CHROMIUM = (CASES[4], CASES[5], CASES[8])


@pytest.mark.parametrize(("name", "columns", "fmt"), of_native(CASES, IN_CHROMIUM))
async def test_weights_are_decoded_exactly(
    runner: Runner, name: str, columns: int, fmt: str, rng: np.random.Generator
) -> None:
    """One tensor is cut by rows: two parts of it alternate, the third follows them. Codes are any
    that the bits allow; past a row's end there are zeros."""
    rows = 24
    made = PACKED[name].random(rows, columns, rng)
    info, data = tensor_of(name, made)
    first = Part(info, 0, 2, first=18)
    second = Part(info, 1, 2, first=11, count=6)
    third = Part(info, count=3)
    pair = Matrix("pair", 12, columns, (first, second))
    assert slice_plans(pair, None, 1 << 30)[0].format == fmt
    padded = pair.blocks * 32
    expected = np.zeros((rows, padded), np.float32)
    expected[:, :columns] = made.values
    for matrix, wanted in (
        (pair, np.stack([expected[18:24], expected[11:17]], 1).reshape(12, padded)),
        (Matrix("third", 3, columns, (third,)), expected[:3]),
    ):
        arrays = await placed(runner, matrix, data)
        for read in (embedded, multiplied)[: len(matrix.parts)]:
            found = await read(runner, fmt, arrays, len(wanted), padded)
            np.testing.assert_array_equal(found, wanted)
