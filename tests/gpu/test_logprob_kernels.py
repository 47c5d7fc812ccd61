"""The two kernels of log-probabilities against numpy's log softmax."""

from __future__ import annotations

import numpy as np
import pytest
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel

ROWS_AT, RING, SLOTS, THREADS, ITEMS = 4, 16, 3, 64, 2


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("vocab", "top"), of_native([(1000, 20), (1000, 1), (7, 20)], [(1000, 20)])
)
async def test_log_softmax_and_the_most_likely(
    runner: Runner, vocab: int, top: int, shared: bool, rng: np.random.Generator
) -> None:
    """Two rows of slots of their own, and one past the end."""
    logits = (rng.standard_normal((3, vocab)) * 4 + 30).astype(np.float32)
    logits[0, 3] = logits[0].max()  # equals: the lower token first
    groups = -(-vocab // (THREADS * ITEMS))
    step = np.zeros(ROWS_AT + 12, np.uint32)
    step[0] = 2
    rows = step[ROWS_AT:].reshape(3, 4)
    rows[:2] = [[5, 90, 2, RING + 4], [6, 12, 0, 1]]
    sizes = {"VOCAB": vocab, "TOP": top, "THREADS": THREADS, "STEP_ROWS": ROWS_AT, "SHARED": shared}
    parts = np.zeros((3, groups, 2 + 2 * top), np.uint32)
    out = await runner.run(
        kernel("logprob_parts", ITEMS=ITEMS, **sizes),  # type: ignore[arg-type]
        {"logits": logits, "step": step, "parts": parts},
        (groups, 3),
    )
    assert not out["parts"][2].any()
    out = await runner.run(
        kernel("logprob_write", PARTS=groups, RING=RING, SLOTS=SLOTS, **sizes),  # type: ignore[arg-type]
        {
            "logits": logits,
            "step": step,
            "parts": out["parts"],
            "ring": np.zeros((RING, SLOTS, 1 + 2 * top), np.uint32),
        },
        (3,),
    )
    ring = out["ring"].copy()
    for row, token, place in ((0, 5, (3, 2)), (1, 6, (0, 0))):
        z = logits[0 if shared else row].astype(np.float64)
        wanted = z - z.max() - np.log(np.exp(z - z.max()).sum())
        order = np.argsort(-z, kind="stable")[:top]
        numbers = ring[place].view(np.float32)
        assert numbers[0] == pytest.approx(wanted[token], abs=2e-5)
        assert ring[place][1::2][: len(order)].tolist() == order.tolist()
        np.testing.assert_allclose(numbers[2::2][: len(order)], wanted[order], atol=2e-5)
        assert (ring[place][1::2][len(order) :] == vocab).all()
        ring[place] = 0
    assert not ring.any()
