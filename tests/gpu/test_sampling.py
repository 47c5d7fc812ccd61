"""The two sampling kernels against numpy: penalties, bias, thresholds, the draw itself."""

from __future__ import annotations

import numpy as np
import pytest
from runners import Runner, of_native
from sampler import DRAWN, ROWS_AT, SLOT, Sampler, allowed, gumbel, settings, step_words


@pytest.mark.parametrize("vocab", of_native([1, 63, 1000], [1, 1000]))
async def test_greedy_takes_the_lowest_of_the_greatest(runner: Runner, vocab: int) -> None:
    rng = np.random.default_rng(vocab)
    logits = rng.standard_normal(vocab).astype(np.float32)
    logits[rng.integers(vocab, size=3)] = 9.5
    sampler = Sampler(runner, vocab)
    prepared = await sampler.scaled(logits, settings())
    out = await sampler.draw(prepared, settings())
    token = int(logits.argmax())
    assert out["ring"][DRAWN] == token
    assert out["counts"][token] == 1 and out["counts"].sum() == 1
    assert out["step"][0] == 2
    assert out["step"][ROWS_AT + 4 : ROWS_AT + 8].tolist() == [token, 6, SLOT, DRAWN + 1]
    assert out["step"][ROWS_AT + 8 :].tolist() == step_words(5)[ROWS_AT + 8 :].tolist()
    beside = int(logits[::-1].argmax())
    assert out["step"][ROWS_AT : ROWS_AT + 4].tolist() == [beside, 91, 1, 3]
    assert out["beside"][2] == beside


async def test_penalties_bias_and_temperature(runner: Runner) -> None:
    rng = np.random.default_rng(0)
    vocab = 300
    logits = rng.standard_normal(vocab).astype(np.float32) * 3
    in_prompt, generated = rng.random(vocab) < 0.3, rng.integers(0, 4, vocab).astype(np.uint32)
    counts = generated | (in_prompt.astype(np.uint32) << 31)
    bias = rng.standard_normal(vocab).astype(np.float32)
    words = settings(temperature=0.7, repetition=1.3, frequency=0.4, presence=0.9, flags=3)
    out = await Sampler(runner, vocab).scaled(logits, words, counts, bias)
    seen = in_prompt | (generated > 0)
    expected = np.where(seen, np.where(logits > 0, logits / 1.3, logits * 1.3), logits)
    expected = expected - 0.4 * generated - 0.9 * (generated > 0) + bias
    np.testing.assert_allclose(out["scaled"], expected / 0.7, rtol=1e-5, atol=1e-5)
    unused = await Sampler(runner, vocab).scaled(logits, settings(temperature=2.0), counts, bias)
    np.testing.assert_allclose(unused["scaled"], logits / 2, rtol=1e-6)


CASES = {
    "temperature": {},
    "top_k": {"top_k": 5},
    "top_k_1": {"top_k": 1},
    "top_p": {"top_p": 0.7},
    "min_p": {"min_p": 0.1},
    "all": {"top_k": 12, "top_p": 0.8, "min_p": 0.02},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("spread", of_native([0.5, 2.5], [2.5]))
async def test_only_allowed_tokens_are_drawn_and_all_of_them(
    runner: Runner, case: str, spread: float
) -> None:
    """Many draws at different positions: exactly the support that numpy computes."""
    rng = np.random.default_rng(11)
    vocab = 24
    logits = (rng.standard_normal(vocab) * spread).astype(np.float32)
    options = CASES[case]
    keep = allowed(
        logits, options.get("top_k", 0), options.get("top_p", 1.0), options.get("min_p", 0.0)
    )
    sampler = Sampler(runner, vocab)
    words = settings(temperature=1.0, seed=77, **options)
    prepared = await sampler.scaled(logits, words)
    drawn = set()
    for position in range(30):
        out = await sampler.draw(prepared, words, position)
        drawn.add(int(out["ring"][DRAWN]))
    assert drawn <= set(np.flatnonzero(keep)), "a token outside the support was drawn"
    likely = np.exp(logits) * keep / (np.exp(logits) * keep).sum() > 0.2
    assert set(np.flatnonzero(likely)) <= drawn


async def test_draw_is_the_gumbel_argmax(runner: Runner) -> None:
    """A large vocabulary, many seeds: token for token what numpy draws with the same noise."""
    rng = np.random.default_rng(5)
    vocab = 5000
    logits = (rng.standard_normal(vocab) * 2).astype(np.float32)
    sampler = Sampler(runner, vocab)
    for seed in range(5):
        words = settings(temperature=0.9, top_p=0.95, seed=seed << 30 | 12345)
        prepared = await sampler.scaled(logits, words)
        out = await sampler.draw(prepared, words, position=seed)
        scaled = prepared["scaled"].astype(np.float64)
        keep = allowed(scaled, 0, 0.95, 0.0)
        noisy = scaled + gumbel(np.arange(vocab), seed + 1, seed << 30 | 12345)
        noisy[~keep] = -np.inf
        assert out["ring"][DRAWN] == noisy.argmax()


async def test_an_uncut_draw_happens_in_the_first_kernel(runner: Runner) -> None:
    rng = np.random.default_rng(6)
    vocab = 3000
    logits = (rng.standard_normal(vocab) * 2).astype(np.float32)
    sampler = Sampler(runner, vocab)
    for seed in range(4):
        words = settings(temperature=0.8, seed=seed, flags=4)
        prepared = await sampler.scaled(logits, words, position=seed)
        out = await sampler.draw(prepared, words, position=seed)
        noise = gumbel(np.arange(vocab), seed + 1, seed)
        assert out["ring"][DRAWN] == (prepared["scaled"].astype(np.float64) + noise).argmax()


async def test_a_mask_of_one_token(runner: Runner, rng: np.random.Generator) -> None:
    vocab = 1000
    sampler = Sampler(runner, vocab)
    logits = rng.standard_normal(vocab).astype(np.float32)
    words = settings(temperature=1.0, flags=8 | 4)
    for token in (0, 640, 999):
        prepared = await sampler.scaled(logits, words, allowed=token)
        assert (await sampler.draw(prepared, words))["ring"][DRAWN] == token
