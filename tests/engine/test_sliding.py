"""Conversations that go on past their window, against a forward pass in numpy that drops what the
cache drops, and gives what stays the positions that it then has."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from executor_tools import drawn, drawn_together
from made_models import SMALL, Weights, tokens_of, weights_of
from model_files import Files
from reference import rotary_frequencies, rotated
from test_hybrid import taught

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.runtime.sampling.settings import SamplingSettings

TOKENS = tokens_of(SMALL, 420)
WINDOW, KEPT, DROPPED = 160, 32, 32
"""Of 20 sinks a page is made, and of a quarter of the other four pages one."""
OPTIONS = {"sliding_window_size": WINDOW + 9, "attention_sink_size": 20}
TOLERANCE = 5e-5


@pytest.fixture(scope="module")
async def engine(files: Files, plain_device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(
        files.huggingface(SMALL), device=plain_device, kv_dtype="f32", **OPTIONS
    ) as engine:
        yield engine


@pytest.fixture
def own(engine: Engine) -> Engine:
    """The engine with an empty cache."""
    engine.loaded.executor.cache.pages.clear()
    return engine


class Streamed:
    """A llama that reads token by token, float64; keys are kept without their rotation."""

    def __init__(self, config: Mapping[str, Any], weights: Weights):
        self.config = config
        self.weights = {name: weight.astype(np.float64) for name, weight in weights.items()}
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim = config["head_dim"]
        self.frequencies = rotary_frequencies(config, self.head_dim)
        none = np.zeros((0, self.kv_heads, self.head_dim))
        self.kept = [[none, none] for _ in range(config["num_hidden_layers"])]

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scale = np.sqrt((x**2).mean() + self.config["rms_norm_eps"])
        return np.asarray(x / scale * self.weights[f"{name}.weight"])

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(self.weights[f"{name}.weight"] @ x)

    def read(self, token: int) -> np.ndarray:
        """The logits behind a token."""
        if len(self.kept[0][0]) == WINDOW:
            for pair in self.kept:
                pair[:] = [np.concatenate([a[:KEPT], a[KEPT + DROPPED :]]) for a in pair]
        position = len(self.kept[0][0])
        angles = np.arange(position + 1)[:, None] * self.frequencies
        x = self.weights["model.embed_tokens.weight"][token]
        for i, pair in enumerate(self.kept):
            name = f"model.layers.{i}"
            y = self.norm(x, f"{name}.input_layernorm")
            q = self.linear(y, f"{name}.self_attn.q_proj").reshape(1, self.heads, -1)
            for n, part in enumerate("kv"):
                row = self.linear(y, f"{name}.self_attn.{part}_proj")
                row = row.reshape(1, self.kv_heads, self.head_dim)
                pair[n] = np.concatenate([pair[n], row])
            q = rotated(q, angles[-1:])[0]
            keys = rotated(pair[0], angles)
            groups = self.heads // self.kv_heads
            keys, values = (np.repeat(a, groups, axis=1) for a in (keys, pair[1]))
            scores = np.einsum("hd,khd->hk", q, keys) / math.sqrt(self.head_dim)
            shares = np.exp(scores - scores.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            attended = np.einsum("hk,khd->hd", shares, values).ravel()
            x = x + self.linear(attended, f"{name}.self_attn.o_proj")
            y = self.norm(x, f"{name}.post_attention_layernorm")
            gate = self.linear(y, f"{name}.mlp.gate_proj")
            up = self.linear(y, f"{name}.mlp.up_proj")
            x = x + self.linear(gate / (1 + np.exp(-gate)) * up, f"{name}.mlp.down_proj")
        return self.linear(self.norm(x, "model.norm"), "model.embed_tokens")


def streamed(tokens: Sequence[int]) -> np.ndarray:
    """Logits behind every token of a conversation."""
    model = Streamed(SMALL.config, weights_of(SMALL))
    return np.array([model.read(token) for token in tokens])


def is_greedy(prompt: Sequence[int], answer: Sequence[int]) -> bool:
    """Whether each token is the likeliest, or as likely as that to float32."""
    logits = streamed([*prompt, *answer[:-1]])[len(prompt) - 1 :]
    taken = logits[range(len(answer)), list(answer)]
    return bool((taken >= logits.max(1) - 1e-4).all())


async def test_prompts_and_answers_past_the_window(own: Engine) -> None:
    """Prefilled and then step by step; the next prompt goes on from what is left in the cache."""
    assert own.info["context_length"] == WINDOW
    exact = streamed(TOKENS)
    seen, cached = await taught(own, TOKENS[:300], 200)
    assert cached == 0 and np.abs(seen - exact[199:300]).max() < TOLERANCE
    nbytes = own.info["gpu_memory"]
    seen, cached = await taught(own, TOKENS, 310)
    assert cached == 299 or cached == 300
    assert np.abs(seen - exact[309:]).max() < TOLERANCE
    assert own.info["gpu_memory"] == nbytes


async def test_steps_ahead(own: Engine) -> None:
    answer, _ = await drawn(own, TOKENS[:150], SamplingSettings(temperature=0), count=180)
    assert is_greedy(TOKENS[:150], answer)


async def test_answers_of_one_prompt(own: Engine) -> None:
    """Pages that they share are turned for each of them apart."""
    greedy = SamplingSettings(temperature=0)
    settings = [greedy, SamplingSettings(seed=1), greedy]
    answers, _ = await drawn_together(own, TOKENS[:130], settings, count=90, ends={2: 20})
    assert is_greedy(TOKENS[:130], answers[0]) and answers[2][:20] == answers[0][:20]
    # From the pages of before the drop, that others had as well.
    found, stats = await drawn(own, TOKENS[:100], greedy, count=30)
    assert is_greedy(TOKENS[:100], found), stats


async def test_requests_together(own: Engine) -> None:
    async def text(prompt: list[int], count: int) -> str:
        reply = await own.completions.create(
            prompt=prompt, max_tokens=count, temperature=0, ignore_eos=True
        )
        found: str = reply.choices[0].text
        return found

    asked = [(TOKENS[:150], 60), (TOKENS[5:40], 150), (TOKENS[100:300], 40)]
    together = await asyncio.gather(*(text(*one) for one in asked))
    alone = []
    for one in asked:
        own.loaded.executor.cache.pages.clear()
        alone.append(await text(*one))
    assert together == alone
    assert not own.loaded.executor.cache.pages.running


async def test_kept_and_saved(own: Engine, files: Files, plain_device: Device) -> None:
    greedy = SamplingSettings(temperature=0)
    await drawn(own, TOKENS[:250], greedy, count=2)
    state = await own.save_state()
    assert await own.fork() == len(own.loaded.executor.cache.pages.newest.tokens)
    expected, stats = await drawn(own, TOKENS[:270], greedy, count=40)
    assert stats.cached_tokens >= 240 and is_greedy(TOKENS[:270], expected)
    async with await webllm_py.load(
        files.huggingface(SMALL), device=plain_device, kv_dtype="f32", **OPTIONS
    ) as engine:
        await engine.load_state(state)
        found, stats = await drawn(engine, TOKENS[:270], greedy, count=40)
    assert found == expected and stats.cached_tokens >= 240


async def test_another_beginning_is_computed_anew(own: Engine) -> None:
    """What has dropped out is part of what keys and values depend on."""
    greedy = SamplingSettings(temperature=0)
    await drawn(own, TOKENS[:250], greedy, count=2)
    changed = [*TOKENS[:50], 7, *TOKENS[51:250]]
    found, stats = await drawn(own, changed, greedy, count=20)
    assert stats.cached_tokens <= KEPT and is_greedy(changed, found)


async def test_halves(files: Files, plain_device: Device) -> None:
    """In float16, as it is loaded by default."""
    source = files.huggingface(SMALL)
    async with await webllm_py.load(source, device=plain_device, **OPTIONS) as engine:
        seen, _ = await taught(engine, TOKENS[:240], 200)
    error = np.abs(seen - streamed(TOKENS[:240])[199:]).max()
    assert TOLERANCE < error < 0.02


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"sliding_window_size": 200, "context_length": 100}, "not both"),
        ({"attention_sink_size": 4}, "give sliding_window_size too"),
        ({"sliding_window_size": 0}, "from 1"),
        ({"sliding_window_size": 100, "attention_sink_size": -1}, "from 0"),
        ({"sliding_window_size": 100, "attention_sink_size": 40}, "at least 128"),
        ({"sliding_window_size": 200, "kv_dtype": "q8"}, "8 bits"),
    ],
)
async def test_windows_that_are_refused(
    options: dict[str, Any], problem: str, files: Files, device: Device
) -> None:
    with pytest.raises(ValueError, match=problem):
        await webllm_py.load(files.huggingface(SMALL), device=device, **options)
