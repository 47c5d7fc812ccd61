"""Which tokens may be drawn, against numpy: the nucleus, typical ones, all but top choices."""

from __future__ import annotations

import numpy as np
import pytest
from runners import Runner, of_native
from sampler import DRAWN, Sampler, allowed, chance, gumbel, settings


def typical(p: np.ndarray, share: float) -> np.ndarray:
    """Locally typical sampling, as arXiv 2202.00666 defines it: which tokens stay (float64)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = -np.log(p)
        entropy = np.nansum(p * surprise)
    order = np.argsort(np.abs(surprise - entropy), kind="stable")
    n = int(np.argmax(np.cumsum(p[order]) >= share)) + 1
    return np.isin(np.arange(len(p)), order[:n])


def without_top_choices(p: np.ndarray, least: float) -> np.ndarray:
    """XTC, as llama.cpp's documentation says it: all from the threshold on but the least."""
    above = np.flatnonzero(p >= least)
    removed = above[np.argsort(-p[above])][:-1]
    return ~np.isin(np.arange(len(p)), removed)


@pytest.mark.parametrize(
    "case",
    of_native(
        [
            "typical",
            "typical of top_k",
            "most typical",
            "xtc",
            "xtc of min_p",
            "xtc of one",
            "both",
        ],
        ["both"],
    ),
)
async def test_cuts_that_are_no_lists_head(
    runner: Runner, case: str, rng: np.random.Generator
) -> None:
    """With noise that is known, the draw is the noisiest of those that numpy leaves."""
    vocab = 1000
    logits = (rng.standard_normal(vocab) * (0.7 if case == "xtc" else 2)).astype(np.float32)
    options: dict[str, float] = {}
    if case == "xtc of one":
        logits[33] = 12
    if case == "typical of top_k":
        options["top_k"] = 50
    if case == "xtc of min_p":
        options["min_p"] = 0.05
    share = 0.6 if "typical" in case or case == "both" else 1.0
    share = 0.0 if case == "most typical" else share  # which one token has, whatever it is
    xtc = (0.5, 0.001 if case == "xtc" else 0.02) if share == 1 or case == "both" else (0.0, 0.1)
    words = settings(temperature=1.0, seed=3, flags=16, typical_p=share, xtc=xtc, **options)  # type: ignore[arg-type]
    sampler = Sampler(runner, vocab)
    prepared = await sampler.scaled(logits, words)
    kept = allowed(logits, int(options.get("top_k", 0)), 1.0, options.get("min_p", 0.0))
    p = np.where(kept, np.exp(logits.astype(np.float64)), 0)
    if share < 1:
        p = np.where(typical(p / p.sum(), share), p, 0)
    narrow = np.where(without_top_choices(p / p.sum(), xtc[1]), p, 0)
    assert case == "xtc of one" or "typical" in case or (narrow != p).sum() > 1
    changed = 0
    for position in range(12):
        out = await sampler.draw(prepared, words, position)
        noise = gumbel(np.arange(vocab), position + 1, 3)
        left = narrow if chance(position + 1, 3) < xtc[0] else p
        with np.errstate(divide="ignore"):
            assert out["ring"][DRAWN] == (np.log(left) + noise).argmax()
            changed += (np.log(left) + noise).argmax() != (np.log(p) + noise).argmax()
    assert changed or case not in ("xtc", "xtc of min_p")


@pytest.mark.parametrize("top_p", of_native([0.1, 0.5, 0.9, 0.99], [0.1, 0.9]))
async def test_nucleus_of_a_flat_distribution(runner: Runner, top_p: float) -> None:
    """Sums over a wide nucleus stay exact: the noise reaches just the tokens inside."""
    vocab = 6000
    logits = np.linspace(0, 1e-3, vocab).astype(np.float32)[::-1].copy()
    sampler = Sampler(runner, vocab)
    words = settings(temperature=1.0, top_p=top_p, seed=9)
    prepared = await sampler.scaled(logits, words)
    drawn = [int((await sampler.draw(prepared, words, p))["ring"][DRAWN]) for p in range(10)]
    # Distances are told apart in steps of 2^-19, so the edge may be off by one step's tokens.
    edge = np.count_nonzero(allowed(logits, 0, top_p, 0.0)) + vocab * 2**-19 / 1e-3
    assert max(drawn) <= edge
    assert max(drawn) > edge * 0.7
