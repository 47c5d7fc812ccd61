"""Draws behind guessed tokens and within masks, against numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from runners import Runner
from sampler import DRAWN, ROWS_AT, Sampler, settings

from webllm_py.gpu.kernels import kernel


async def test_a_mask_for_the_first_draws(runner: Runner, rng: np.random.Generator) -> None:
    """The slot drew ``DRAWN`` tokens before: the mask holds as long as it is for more."""
    vocab = 1000
    logits = rng.standard_normal(vocab).astype(np.float32)
    best, other = np.argsort(-logits)[:2]
    sampler = Sampler(runner, vocab)
    for masks, token in ((DRAWN + 1, other), (DRAWN, best)):
        words = settings(flags=8, masks=masks)
        prepared = await sampler.scaled(logits, words, allowed=np.arange(vocab) != best)
        assert (await sampler.draw(prepared, words))["ring"][DRAWN] == token


@pytest.mark.parametrize(("right", "gap"), [(0, 0), (2, 0), (4, 0), (4, 3)])
async def test_accepted_are_the_draws_behind_right_guesses(
    runner: Runner, right: int, gap: int
) -> None:
    """Five rows, of which the first ``right`` guesses are what was drawn; with a gap they were made
    for another position, and none counts."""
    drawn = np.array([11, 12, 13, 14, 15], np.uint32)
    step = np.zeros(ROWS_AT + 4 * 5, np.uint32)
    step[0] = 5
    rows = step[ROWS_AT:].reshape(5, 4)
    rows[:, 0] = [7, *drawn[:right], *(drawn[right:4] + 20)]
    rows[:, 1] = np.arange(30, 35)
    rows[1:, 1] += gap
    rows[:, 3] = 9
    right = 0 if gap else right
    out = await runner.run(
        kernel("sample_accept", STEP_ROWS=ROWS_AT),
        {
            "step": step,
            "drawn": drawn,
            "counts": np.arange(40, dtype=np.uint32),
            "accepted": np.zeros(6, np.uint32),
        },
        (1,),
    )
    n = right + 1
    assert out["accepted"][: n + 1].tolist() == [n, *drawn[:n]]
    counts = np.arange(40)
    counts[drawn[:n]] += 1
    assert out["counts"].tolist() == counts.tolist()
    assert out["step"][0] == 1
    assert out["step"][ROWS_AT : ROWS_AT + 4].tolist() == [drawn[right], 30 + n, 0, 9 + n]


async def test_guesses_count_as_generated_behind_them(runner: Runner) -> None:
    """Rows of one sequence: each row's penalties are of the guesses up to it."""
    rng = np.random.default_rng(8)
    vocab, guesses = 50, [3, 3, 8]
    logits = rng.standard_normal((4, vocab)).astype(np.float32)
    step = np.zeros(ROWS_AT + 16, np.uint32)
    step[0] = 4
    step[ROWS_AT::4] = [20, *guesses]
    counts = np.zeros(vocab, np.uint32)
    counts[[20, 8]] = 1
    prepare = Sampler(runner, vocab).prepare
    out = await runner.run(
        replace(prepare, overrides=(*prepare.overrides, ("VERIFY", 1.0))),
        {
            "logits": logits,
            "settings": settings(frequency=0.5, flags=1),
            "counts": counts,
            "bias": np.zeros(vocab, np.float32),
            "scaled": np.zeros((4, 52), np.float32),
            "winners": np.zeros((4, 1, 2), np.uint32),
            "step": step,
            "masks": np.zeros(2, np.uint32),
        },
        (1, 4),
    )
    for row in range(4):
        expected = logits[row] - 0.5 * (counts + np.bincount(guesses[:row], minlength=vocab))
        np.testing.assert_allclose(out["scaled"][row, :vocab], expected, atol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"temperature": 1.0, "flags": 4},
        {"temperature": 1.0, "top_k": 40},
        {"temperature": 1.5, "top_p": 0.9, "min_p": 0.01},
    ],
    ids=["greedy", "uncut", "top_k", "top_p"],
)
async def test_only_the_masks_tokens_are_drawn(
    runner: Runner, kind: dict[str, float], rng: np.random.Generator
) -> None:
    vocab = 1000
    sampler = Sampler(runner, vocab)
    allowed = np.zeros(vocab, bool)
    allowed[[3, 32, 63, 999]] = True
    logits = rng.standard_normal(vocab).astype(np.float32)
    logits[~allowed] += 50
    words = settings(**{**kind, "flags": int(kind.get("flags", 0)) | 8})  # type: ignore[arg-type]
    drawn = set()
    for position in range(12):
        prepared = await sampler.scaled(logits, words, position=position, allowed=allowed)
        drawn.add(int((await sampler.draw(prepared, words, position))["ring"][DRAWN]))
    assert drawn <= set(np.flatnonzero(allowed))
    assert len(drawn) == 1 if not kind else len(drawn) > 1
