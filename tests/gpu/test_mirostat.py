"""Mirostat's two versions against numpy (arXiv 2007.14966)."""

from __future__ import annotations

import numpy as np
import pytest
from runners import Runner, of_native
from sampler import DRAWN, Sampler, gumbel, settings

VOCAB, TAU, ETA = 1000, 3.0, 0.2


async def check_draws(
    runner: Runner, logits: np.ndarray, p: np.ndarray, mu: float, *, flags: int
) -> None:
    """What is drawn of the tokens that a cut leaves, those of ``p`` above 0, and where mu goes."""
    words = settings(temperature=1.0, seed=8, flags=flags, mirostat=(TAU, ETA))
    sampler = Sampler(runner, VOCAB)
    prepared = await sampler.scaled(logits, words)
    for position in range(4):
        out = await sampler.draw(prepared, words, position, mu)
        with np.errstate(divide="ignore"):
            token = int((np.log(p) + gumbel(np.arange(VOCAB), position + 1, 8)).argmax())
        assert out["ring"][DRAWN] == token
        moved = mu - ETA * (-np.log2(p[token] / p.sum()) - TAU)
        np.testing.assert_allclose(out["mirostat"], [mu, mu, mu, moved], rtol=1e-4)


@pytest.mark.parametrize("mu", of_native([10.0, 4.0, 0.5], [4.0]))
async def test_mirostat(runner: Runner, mu: float, rng: np.random.Generator) -> None:
    """Version 2 of arXiv 2007.14966: what it cuts, what it draws, and where mu goes."""
    logits = (rng.standard_normal(VOCAB) * 2).astype(np.float32)
    p = np.exp(logits.astype(np.float64))
    surprise = -np.log2(p / p.sum())
    p[(surprise > mu) & (surprise > surprise.min())] = 0
    await check_draws(runner, logits, p, mu, flags=16)


def left_by_version_1(p: np.ndarray, mu: float) -> np.ndarray:
    """Algorithm 1 of arXiv 2007.14966: the k likeliest stay, k of a Zipf law fitted to 100."""
    ordered = np.sort(p / p.sum())[::-1][:100]
    ranks = np.log(np.arange(2, len(ordered) + 1) / np.arange(1, len(ordered)))
    s = (ranks * np.log(ordered[:-1] / ordered[1:])).sum() / (ranks**2).sum()
    k = ((s - 1) * 2**mu / (1 - len(p) ** (1 - s))) ** (1 / s)
    least = np.sort(p)[::-1][int(np.clip(k, 1, len(p))) - 1]
    return np.where(p >= least, p, 0)


@pytest.mark.parametrize(
    ("mu", "exponent"),
    of_native([(10.0, 1.3), (6.0, 1.1), (6.0, 0.7), (9.0, 0.5), (0.5, 2.0)], [(6.0, 1.1)]),
)
async def test_mirostat_1(
    runner: Runner, mu: float, exponent: float, rng: np.random.Generator
) -> None:
    logits = rng.permutation(-exponent * np.log(np.arange(1, VOCAB + 1)))
    logits = (logits + 0.05 * rng.standard_normal(VOCAB)).astype(np.float32)
    p = left_by_version_1(np.exp(logits.astype(np.float64)), mu)
    print(f"mu {mu} leaves {(p > 0).sum()}")
    assert (p > 0).sum() > 1 or mu < 1
    await check_draws(runner, logits, p, mu, flags=16 | 32)


async def test_mirostat_1_of_few_tokens(runner: Runner) -> None:
    """Fewer than it would look at."""
    for vocab in (1, 2, 7):
        words = settings(temperature=1.0, seed=8, flags=16 | 32, mirostat=(3.0, 0.2))
        sampler = Sampler(runner, vocab)
        logits = np.linspace(0, 3, vocab).astype(np.float32)
        out = await sampler.draw(await sampler.scaled(logits, words), words, 3, 9.0)
        noise = gumbel(np.arange(vocab), 4, 8)
        assert out["ring"][DRAWN] == (logits + noise).argmax()
