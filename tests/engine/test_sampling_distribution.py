"""5,000 draws of every sampling setting against the distribution that numpy computes."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_models import SMALL, noise, tokens_of

from webllm_py import Engine
from webllm_py.gpu.device import Plan
from webllm_py.models.step import Row
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.generate import GenerationStats, generate
from webllm_py.runtime.sampling.settings import SamplingSettings

DRAWS = 5_000
BATCH = 1000  # the GPU's ring remembers 1024
A_SUBMIT = 100
LOGITS = noise("logits to draw from", SMALL.vocab) * np.float32(1.5)
# Likely and unlikely tokens of which the text so far has some: the prompt and what was generated.
PROMPT = np.argsort(-LOGITS)[[0, 3, 4, 20, 100]].tolist()
GENERATED = Counter({int(np.argsort(-LOGITS)[i]): n for i, n in ((0, 2), (1, 1), (5, 3), (30, 1))})
BIAS = {int(np.argsort(-LOGITS)[2]): -100.0, int(np.argsort(-LOGITS)[150]): 3.5}

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "cold": {"temperature": 0.4},
    "top_k": {"top_k": 17},
    "top_p": {"top_p": 0.8},
    "min_p": {"min_p": 0.08},
    "repetition": {"repetition_penalty": 1.6},
    "frequency": {"frequency_penalty": 0.9},
    "presence": {"presence_penalty": -1.4},
    "logit bias": {"logit_bias": BIAS},
    "all": {
        "temperature": 0.8,
        "top_k": 60,
        "top_p": 0.9,
        "min_p": 0.01,
        "repetition_penalty": 1.2,
        "frequency_penalty": 0.4,
        "presence_penalty": 0.3,
        "logit_bias": BIAS,
    },
}
# Where the parts meet, with fewer draws.
CORNERS: Mapping[str, Mapping[str, Any]] = {
    "hot": {"temperature": 2.0},
    "top_k over the vocabulary": {"top_k": 5000},
    "top_k of 2": {"top_k": 2},
    "top_p of little": {"top_p": 0.05, "temperature": 2.0},
    "top_p of nothing": {"top_p": 0.0},
    "top_k, then top_p": {"top_k": 30, "top_p": 0.7},
    "top_p, then min_p": {"top_p": 0.95, "min_p": 0.05, "temperature": 1.3},
    "min_p of all": {"min_p": 1.0},
    "repetition wanted": {"repetition_penalty": 0.7},
    "typical": {"typical_p": 0.6},
    "typical of top_p": {"typical_p": 0.8, "top_p": 0.9, "temperature": 1.3},
    "xtc": {"xtc_probability": 0.4, "xtc_threshold": 0.05},
    "typical, then xtc": {"typical_p": 0.9, "xtc_probability": 1.0, "xtc_threshold": 0.03},
}


def adjusted(logits: np.ndarray, s: SamplingSettings, generated: Mapping[int, int]) -> np.ndarray:
    """Logits after penalties, bias and temperature, float64."""
    z = logits.astype(np.float64)
    for token in {*PROMPT, *generated}:
        z[token] *= 1 / s.repetition_penalty if z[token] > 0 else s.repetition_penalty
    for token, count in generated.items():
        z[token] -= s.frequency_penalty * count + s.presence_penalty
    for token, bias in s.logit_bias.items():
        z[token] += bias
    return z / s.temperature if s.temperature else z


def probabilities(s: SamplingSettings) -> np.ndarray:
    """What a draw should follow: top-k of all, top-p of those, min-p of those, the typical of
    those, and now and then those without the top choices."""
    z = adjusted(LOGITS, s, GENERATED)
    order = np.argsort(-z)
    p = np.exp(z[order] - z.max())
    p[s.top_k or len(p) :] = 0
    before = np.cumsum(p) - p
    p[1:][before[1:] / p.sum() >= s.top_p] = 0  # the most likely one always stays
    p[p < s.min_p * p[0]] = 0
    p /= p.sum()
    if s.typical_p < 1:
        surprise = -np.log(np.where(p > 0, p, 1e-300))
        nearest = np.argsort(np.abs(surprise - (p * surprise).sum()))
        p[nearest[1:][np.cumsum(p[nearest])[:-1] >= s.typical_p]] = 0
        p /= p.sum()
    if (top := np.flatnonzero(p >= s.xtc_threshold)).size > 1:
        narrow = p.copy()
        narrow[top[:-1]] = 0
        p = (1 - s.xtc_probability) * p + s.xtc_probability * narrow / narrow.sum()
    result = np.empty_like(p)
    result[order] = p
    return result


def surprise(drawn: np.ndarray, p: np.ndarray) -> float:
    """How many standard deviations chi-square is above what chance gives (Wilson and Hilferty).

    Tokens that are expected fewer than five times count together.
    """
    expected = p * drawn.sum()
    common = expected >= 5
    rest = [expected[~common].sum()] if expected[~common].sum() > 1 else []
    e = np.append(expected[common], rest)
    o = np.append(drawn[common], [drawn[~common].sum()] * len(rest))
    freedom = len(e) - 1
    if not freedom:
        return 0.0 if np.allclose(o, e) else np.inf
    chi = ((o - e) ** 2 / e).sum() / freedom
    return float((np.cbrt(chi) - (1 - 2 / (9 * freedom))) / np.sqrt(2 / (9 * freedom)))


class Drawer:
    """Replays the sampler alone, on fixed logits and a fixed past."""

    def __init__(self, executor: Executor):
        self.executor, self.device = executor, executor.device
        self.sampler = executor.decoder.sampler

    def begin(self, settings: SamplingSettings) -> None:
        """Set up as for a request that has generated GENERATED so far."""
        self.device.write(self.executor.buffers.logits, 0, LOGITS.tobytes())
        self.sampler.begin(settings, PROMPT)
        counts = np.zeros(SMALL.vocab, np.uint32)
        counts[PROMPT] = 1 << 31
        for token, count in GENERATED.items():
            counts[token] += count
        self.device.write(self.sampler.counts, 0, counts.tobytes())

    @asynccontextmanager
    async def plan(self, draws: int) -> AsyncIterator[Plan]:
        """So many draws. What is drawn is counted elsewhere, so that it changes no penalty."""
        prepare, *others = self.sampler.draw(
            self.executor.decoder.drawing, self.executor.buffers.step
        )
        elsewhere = self.device.create_buffer("other counts", 4 * SMALL.vocab)
        others = [
            replace(d, buffers={**d.buffers, "counts": elsewhere}) if "counts" in d.buffers else d
            for d in others
        ]
        plan = await self.device.record("draws", [prepare, *others] * draws)
        yield plan
        self.device.drop(plan)
        self.device.free(elsewhere)

    async def read(self) -> list[int]:
        data = await self.device.read(self.sampler.ring, 0, 4 * BATCH)
        return np.frombuffer(data, np.uint32).tolist()

    async def at_following_positions(self, draws: int) -> np.ndarray:
        drawn = []
        async with self.plan(A_SUBMIT) as plan:
            for first in range(0, draws, BATCH):
                self.executor.write_rows([Row(0, first)])
                self.device.replay(plan, BATCH // A_SUBMIT)
                drawn += await self.read()
        return np.array(drawn)

    async def with_seeds(self, seeds: range) -> np.ndarray:
        """All at one position."""
        drawn = []
        async with self.plan(1) as plan:
            for first in range(0, len(seeds), BATCH):
                for i, seed in enumerate(seeds[first : first + BATCH]):
                    self.executor.write_rows([Row(0, 77, drawn=i)])
                    self.device.write(self.sampler.settings, 16, struct.pack("<q", seed))
                    self.device.replay(plan)
                drawn += await self.read()
        return np.array(drawn)


@pytest.fixture
def drawer(engine: Engine) -> Drawer:
    return Drawer(engine.loaded.executor)


def check(drawn: np.ndarray, p: np.ndarray) -> None:
    """The draws follow p, and none depends on the one before."""
    counts = np.bincount(drawn, minlength=SMALL.vocab)
    outside = counts[p == 0].sum()
    assert not outside, f"{outside} draws outside of the support"
    pairs = np.bincount(drawn[:-1] * SMALL.vocab + drawn[1:], minlength=SMALL.vocab**2)
    for observed, wanted in ((counts, p), (pairs, np.outer(p, p).ravel())):
        above = surprise(observed, wanted)
        assert above < 4, f"chi-square is {above:.1f} deviations higher than by chance"


@pytest.mark.parametrize("name", SETTINGS)
async def test_draws_of_one_request(drawer: Drawer, name: str) -> None:
    """One seed, one position after the other."""
    settings = SamplingSettings(seed=20_000, **SETTINGS[name])
    drawer.begin(settings)
    check(await drawer.at_following_positions(DRAWS), probabilities(settings))


@pytest.mark.parametrize("name", CORNERS)
async def test_draws_of_odd_settings(drawer: Drawer, name: str) -> None:
    settings = SamplingSettings(seed=-7, **CORNERS[name])
    drawer.begin(settings)
    check(await drawer.at_following_positions(2000), probabilities(settings))


async def test_mirostat_steers_to_its_surprise(drawer: Drawer) -> None:
    """Mean surprise of the draws, each of what mirostat left for it, is tau once it has settled."""
    settings = SamplingSettings(seed=5, mirostat_tau=3.0, mirostat_eta=0.1)
    drawer.begin(settings)
    drawn = await drawer.at_following_positions(2000)
    z = adjusted(LOGITS, settings, GENERATED)
    p = np.exp(z - z.max())
    p /= p.sum()
    assert abs(-np.log2(p[drawn]).mean() - 3.0) > 0.3, "the model alone has another surprise"
    mu, seen = 2 * 3.0, []
    for token in drawn:
        kept = (-np.log2(p) <= mu) | (p == p.max())
        assert kept[token]
        seen.append(-np.log2(p[token] / p[kept].sum()))
        mu -= 0.1 * (seen[-1] - 3.0)
    assert abs(np.mean(seen[200:]) - 3.0) < 0.02


async def test_draws_of_many_requests(drawer: Drawer) -> None:
    """One position, as many requests draw that count their seeds up."""
    drawer.begin(SamplingSettings(seed=0))
    seeds = range(-DRAWS // 2, DRAWS // 2)
    check(await drawer.with_seeds(seeds), probabilities(SamplingSettings()))


@pytest.mark.parametrize("wrong", [{"temperature": 0.7}, {"top_p": 0.97}, {"min_p": 0.02}])
def test_the_check_notices(wrong: dict[str, float]) -> None:
    """5,000 draws of almost the right distribution do not pass."""
    p = probabilities(SamplingSettings(**{"temperature": 0.8, **wrong}))
    drawn = np.random.default_rng(1).choice(SMALL.vocab, DRAWS, p=p)
    check(drawn, p)
    with pytest.raises(AssertionError):
        check(drawn, probabilities(SamplingSettings(temperature=0.8)))


def test_the_check_notices_dependence() -> None:
    p = probabilities(SamplingSettings())
    drawn = np.repeat(np.random.default_rng(1).choice(SMALL.vocab, DRAWS // 2, p=p), 2)
    with pytest.raises(AssertionError):
        check(drawn, p)


async def test_penalties_count_every_token_so_far(engine: Engine) -> None:
    """Greedy, from the logits of each step and all that was drawn before, numpy chooses the same.

    Also with steps in flight, where only the GPU knows what it drew.
    """
    seen: list[np.ndarray] = []

    def watch(logits: np.ndarray) -> np.ndarray:
        seen.append(logits.copy())
        return logits

    penalties = {"repetition_penalty": 1.3, "frequency_penalty": 0.5, "presence_penalty": 0.4}
    watched = SamplingSettings(temperature=0, logits_processors=(watch,), **penalties)
    drawn = []
    for settings in (watched, SamplingSettings(temperature=0, **penalties)):
        batches = generate(
            engine.loaded.executor, PROMPT, [settings], max_tokens=50, stats=[GenerationStats()]
        )
        drawn.append([token async for _, batch in batches for token in batch])
    assert drawn[0] == drawn[1]
    generated: Counter[int] = Counter()
    penalised = 0
    for logits, token in zip(seen, drawn[0], strict=True):
        assert token == adjusted(logits, watched, generated).argmax()
        penalised += int(token != logits.argmax())
        generated[token] += 1
    assert penalised > 5, "the penalties changed nothing"


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"seed": 8}, {"seed": 8, "top_p": 0.5}])
async def test_a_logits_processor_as_the_same_logit_bias(
    engine: Engine, sampling: dict[str, Any]
) -> None:
    bias = {token: float(5 - token % 11) for token in range(0, 256, 3)} | {257: -100.0}
    added = np.zeros(SMALL.vocab, np.float32)
    for token, value in bias.items():
        added[token] = value
    prompt = tokens_of(SMALL, 30)
    texts = []
    for field in (
        {"logit_bias": bias},
        {"logits_processors": [lambda logits: logits + added]},
        {"logits_processors": [lambda logits: list(logits + added)]},
        {},
    ):
        reply = await engine.completions.create(prompt=prompt, max_tokens=40, **sampling, **field)
        texts.append(reply.choices[0].text)
    assert texts[0] == texts[1] == texts[2] != texts[3]
