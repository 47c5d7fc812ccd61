"""The kernel of gated short convolutions against numpy (arXiv 2511.23404)."""

from __future__ import annotations

import numpy as np
import pytest
from runners import Runner, of_native
from state_rows import ROWS, ROWS_AT, STATES, STATES_AT, step_of, windows

from webllm_py.gpu.kernels import kernel

# Channels, width of the convolution, rows.
CASES = [
    (96, 3, "two"),
    (72, 3, "together"),
    (200, 3, "long"),
    (6, 5, "together"),
    (130, 2, "later"),
    (33, 8, "prompt"),
]


@pytest.mark.parametrize(("channels", "width", "name"), of_native(CASES, CASES[1:2]))
async def test_short_convolution(
    runner: Runner, channels: int, width: int, name: str, rng: np.random.Generator
) -> None:
    """And the tails that the next one sees; what fills rows and states is 0, and stays."""
    rows, past, stride = ROWS[name], width - 1, -(-channels // 32) * 32
    made, padded = rng.standard_normal, len(ROWS[name]) + 3
    x = made((padded, 3, channels)).astype(np.float32)
    weight = made((channels, width)).astype(np.float32)
    state = -(-past * channels // 4) * 4
    states = made((STATES, state)).astype(np.float32)
    out = await runner.run(
        kernel(
            "short_conv",
            CHANNELS=channels,
            PAST=past,
            Y_STRIDE=stride,
            STATE=state,
            STEP_ROWS=ROWS_AT,
            STEP_STATES=STATES_AT,
        ),
        {
            "x": x,
            "weight": weight,
            "step": step_of(rows),
            "states": states,
            "y": np.full((padded, stride), 7, np.float32),
        },
        (-(-stride // 64), padded),
    )
    b, c, values = x.astype(np.float64).swapaxes(0, 1)
    tails = states[:, : past * channels].reshape(STATES, past, channels)
    seen, tails = windows(rows, b * values, tails)
    expected = np.full((padded, stride), 7.0)
    expected[: len(rows)] = 0
    expected[: len(rows), :channels] = c[: len(rows)] * np.einsum("mtc,ct->mc", seen, weight)
    np.testing.assert_allclose(out["y"], expected, rtol=1e-5, atol=1e-5)
    kept = out["states"][:, : past * channels].reshape(tails.shape)
    np.testing.assert_allclose(kept, tails, rtol=1e-6)
    np.testing.assert_array_equal(out["states"][:, past * channels :], states[:, past * channels :])
