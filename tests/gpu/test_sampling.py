"""The two sampling kernels against numpy: penalties, bias, thresholds, the draw itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel

ROWS_AT, RING = 4, 64


def settings(
    *,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    seed: int = 0,
    repetition: float = 1.0,
    frequency: float = 0.0,
    presence: float = 0.0,
    flags: int = 0,
    masks: int = 2**32 - 1,
    typical_p: float = 1.0,
    xtc: tuple[float, float] = (0.0, 0.1),
    mirostat: tuple[float, float] = (0.0, 0.1),
) -> np.ndarray:
    words = np.zeros(16, np.uint32)
    floats = words.view(np.float32)
    floats[0], words[1], floats[2], floats[3] = temperature, top_k, top_p, min_p
    words[4], words[5] = seed & 0xFFFFFFFF, seed >> 32
    floats[6], floats[7], floats[8] = repetition, frequency, presence
    words[9], words[10] = flags, masks
    floats[11], floats[12:14], floats[14:16] = typical_p, xtc, mirostat
    return words


SLOTS, SLOT, DRAWN = 4, 3, 7


def step_words(position: int) -> np.ndarray:
    """Two rows, the second at ``position`` of a slot that drew tokens, and one past the end."""
    step = np.zeros(ROWS_AT + 12, np.uint32)
    step[0] = 2
    step[ROWS_AT : ROWS_AT + 4] = (5, 90, 1, 2)
    step[ROWS_AT + 4 : ROWS_AT + 8] = (0, position, SLOT, DRAWN)
    step[ROWS_AT + 8 :] = (0, 0, 2, 0)
    return step


def of_slot(values: np.ndarray) -> np.ndarray:
    """An array of the slot's, and others in the other slots."""
    return np.concatenate([np.roll(values, 1), values[::-1], np.roll(values, 2), values])


class Sampler:
    """Runs both kernels on three rows of logits, of which the second one is looked at."""

    def __init__(self, runner: Runner, vocab: int, items: int = 2, threads: int = 64):
        self.runner, self.vocab, self.groups = runner, vocab, -(-vocab // (items * threads))
        self.padded = -(-vocab // 4) * 4
        snippets = {
            "settings": "sample/settings",
            "best": "sample/best",
            "gumbel": "sample/gumbel",
        }
        self.prepare = kernel(
            "sample_prepare",
            snippets=snippets,
            VOCAB=vocab,
            ITEMS=items,
            THREADS=threads,
            STEP_ROWS=ROWS_AT,
        )
        self.select = kernel(
            "sample_select",
            snippets=snippets,
            VOCAB=vocab,
            WINNERS=self.groups,
            RING=RING,
            SLOTS=SLOTS,
            STEP_ROWS=ROWS_AT,
        )

    async def scaled(
        self,
        logits: np.ndarray,
        words: np.ndarray,
        counts: np.ndarray | None = None,
        bias: np.ndarray | None = None,
        position: int = 5,
        allowed: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        vocab = self.vocab
        mask = np.zeros(-(-vocab // 32) * 32, bool)
        mask[:vocab] = True if allowed is None else allowed
        out = await self.runner.run(
            self.prepare,
            {
                "logits": np.stack([logits[::-1], logits, logits + 1]).astype(np.float32),
                "settings": np.concatenate([settings()] * 3 + [words]),
                "counts": of_slot(np.zeros(vocab, np.uint32) if counts is None else counts),
                "bias": of_slot(np.zeros(vocab, np.float32) if bias is None else bias),
                "scaled": np.full((3, self.padded), 99, np.float32),
                "winners": np.zeros((3, self.groups, 2), np.uint32),
                "step": step_words(position),
                "masks": of_slot(np.packbits(mask, bitorder="little").view(np.uint32)),
            },
            (self.groups, 3),
        )
        assert (out["scaled"][2] == 99).all()
        return {"scaled": out["scaled"][1, :vocab], "all": out["scaled"], **out_but(out, "scaled")}

    async def draw(
        self, prepared: dict[str, np.ndarray], words: np.ndarray, position: int = 5, mu: float = 0.0
    ) -> dict[str, np.ndarray]:
        out = await self.runner.run(
            self.select,
            {
                "scaled": prepared["all"],
                "settings": np.concatenate([settings()] * 3 + [words]),
                "winners": prepared["winners"],
                "counts": np.zeros((SLOTS, self.vocab), np.uint32),
                "step": step_words(position),
                "candidates": np.zeros((3, self.vocab, 2), np.uint32),
                "ring": np.zeros((RING, SLOTS), np.uint32),
                "mirostat": np.full(SLOTS, mu, np.float32),
            },
            (3,),
        )
        assert not out["counts"][[0, 2]].any() and not out["ring"][:, [0, 2]].any()
        return {
            "counts": out["counts"][SLOT],
            "ring": out["ring"][:, SLOT],
            "step": out["step"],
            "beside": out["ring"][:, 1],
            "mirostat": out["mirostat"],
        }


def out_but(out: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key: array for key, array in out.items() if key != name}


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


def allowed(logits: np.ndarray, top_k: int, top_p: float, min_p: float) -> np.ndarray:
    """Top-k, top-p over what it left, min-p: which tokens may be drawn (float64)."""
    z = logits.astype(np.float64)
    order = np.argsort(-z, kind="stable")
    keep = np.ones(len(z), bool)
    if top_k:
        keep &= z >= z[order[min(top_k, len(z)) - 1]]
    p = np.where(keep, np.exp(z - z.max()), 0)
    if top_p < 1:
        mass = np.cumsum(p[order]) / p.sum()
        keep &= z >= z[order[int(np.argmax(mass >= top_p))]]
    return keep & (z >= z.max() + np.log(max(min_p, 1e-300)))


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


def hashed(token: np.ndarray, position: int, seed: int) -> np.ndarray:
    """Four words for each token at a position (PCG4D)."""
    v = np.stack(
        np.broadcast_arrays(
            token.astype(np.uint32),
            np.uint32(position),
            np.uint32(seed & 0xFFFFFFFF),
            np.uint32(seed >> 32),
        )
    ).astype(np.uint32)
    with np.errstate(over="ignore"):
        v = v * np.uint32(1664525) + np.uint32(1013904223)
        for last in (False, True):
            v[0] += v[1] * v[3]
            v[1] += v[2] * v[0]
            v[2] += v[0] * v[1]
            v[3] += v[1] * v[2]
            if not last:
                v ^= v >> np.uint32(16)
    return v


def gumbel(token: np.ndarray, position: int, seed: int) -> np.ndarray:
    """The kernel's noise, in numpy."""
    v = hashed(token, position, seed)
    t = (v[0] >> 8) * 2.0**-24 + (v[1] >> 8) * 2.0**-48 + 2.0**-49
    return -np.log(-np.log1p(-t))


def chance(position: int, seed: int) -> float:
    """A number from 0 to 1 for a position."""
    return float(hashed(np.array([2**32 - 1], np.uint32), position, seed)[0, 0] >> 8) * 2.0**-24


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
        ["typical", "typical of top_k", "xtc", "xtc of min_p", "xtc of one", "both"], ["both"]
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
    xtc = (0.5, 0.001 if case == "xtc" else 0.02) if share == 1 or case == "both" else (0.0, 0.1)
    words = settings(temperature=1.0, seed=3, flags=16, typical_p=share, xtc=xtc, **options)  # type: ignore[arg-type]
    sampler = Sampler(runner, vocab)
    prepared = await sampler.scaled(logits, words)
    kept = allowed(logits, int(options.get("top_k", 0)), 1.0, options.get("min_p", 0.0))
    p = np.where(kept, np.exp(logits.astype(np.float64)), 0)
    if share < 1:
        p = np.where(typical(p / p.sum(), share), p, 0)
    narrow = np.where(without_top_choices(p / p.sum(), xtc[1]), p, 0)
    assert case in ("xtc of one", "typical", "typical of top_k") or (narrow != p).sum() > 1
    changed = 0
    for position in range(12):
        out = await sampler.draw(prepared, words, position)
        noise = gumbel(np.arange(vocab), position + 1, 3)
        left = narrow if chance(position + 1, 3) < xtc[0] else p
        with np.errstate(divide="ignore"):
            assert out["ring"][DRAWN] == (np.log(left) + noise).argmax()
            changed += (np.log(left) + noise).argmax() != (np.log(p) + noise).argmax()
    assert changed or case not in ("xtc", "xtc of min_p")


@pytest.mark.parametrize("mu", of_native([10.0, 4.0, 0.5], [4.0]))
async def test_mirostat(runner: Runner, mu: float, rng: np.random.Generator) -> None:
    """Version 2 of arXiv 2007.14966: what it cuts, what it draws, and where mu goes."""
    vocab, tau, eta = 1000, 3.0, 0.2
    logits = (rng.standard_normal(vocab) * 2).astype(np.float32)
    words = settings(temperature=1.0, seed=8, flags=16, mirostat=(tau, eta))
    sampler = Sampler(runner, vocab)
    prepared = await sampler.scaled(logits, words)
    p = np.exp(logits.astype(np.float64))
    surprise = -np.log2(p / p.sum())
    p[(surprise > mu) & (surprise > surprise.min())] = 0
    for position in range(4):
        out = await sampler.draw(prepared, words, position, mu)
        with np.errstate(divide="ignore"):
            token = int((np.log(p) + gumbel(np.arange(vocab), position + 1, 8)).argmax())
        assert out["ring"][DRAWN] == token
        moved = mu - eta * (-np.log2(p[token] / p.sum()) - tau)
        np.testing.assert_allclose(out["mirostat"], [mu, mu, mu, moved], rtol=1e-4)


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
    vocab, tau, eta = 1000, 3.0, 0.2
    logits = rng.permutation(-exponent * np.log(np.arange(1, vocab + 1)))
    logits = (logits + 0.05 * rng.standard_normal(vocab)).astype(np.float32)
    words = settings(temperature=1.0, seed=8, flags=16 | 32, mirostat=(tau, eta))
    sampler = Sampler(runner, vocab)
    prepared = await sampler.scaled(logits, words)
    p = left_by_version_1(np.exp(logits.astype(np.float64)), mu)
    print(f"mu {mu} leaves {(p > 0).sum()}")
    assert (p > 0).sum() > 1 or mu < 1
    for position in range(4):
        out = await sampler.draw(prepared, words, position, mu)
        with np.errstate(divide="ignore"):
            token = int((np.log(p) + gumbel(np.arange(vocab), position + 1, 8)).argmax())
        assert out["ring"][DRAWN] == token
        moved = mu - eta * (-np.log2(p[token] / p.sum()) - tau)
        np.testing.assert_allclose(out["mirostat"], [mu, mu, mu, moved], rtol=1e-4)


async def test_mirostat_1_of_few_tokens(runner: Runner) -> None:
    """Fewer than it would look at."""
    for vocab in (1, 2, 7):
        words = settings(temperature=1.0, seed=8, flags=16 | 32, mirostat=(3.0, 0.2))
        sampler = Sampler(runner, vocab)
        logits = np.linspace(0, 3, vocab).astype(np.float32)
        out = await sampler.draw(await sampler.scaled(logits, words), words, 3, 9.0)
        noise = gumbel(np.arange(vocab), 4, 8)
        assert out["ring"][DRAWN] == (logits + noise).argmax()


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
