"""Keys and values in 8 bits: half the memory, and the same whatever wrote them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from executor_tools import drawn, drawn_together, load_with_chunk, prefilled, stepped
from made_models import SMALL, tokens_of
from model_files import Files

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.models.step import PAGE
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.sampling.settings import SamplingSettings

TOKENS = tokens_of(SMALL)
PROMPT = TOKENS[:70]
# A sum that comes out in another order may take one element in thousands to the next 127th.
NEXT_STEP = 5e-3


@pytest.fixture(scope="module")
async def quantized(files: Files, plain_device: Device) -> AsyncIterator[Engine]:
    """An 8-bit cache and float32 arithmetic, chunks of 64 rows."""
    with pytest.MonkeyPatch.context() as patch:
        engine = await load_with_chunk(files, plain_device, 64, patch, kv_dtype="q8")
    async with engine:
        yield engine


async def cached(executor: Executor) -> list[bytes]:
    """The pages of every layer, those of the first ``TOKENS`` first."""
    size = -(-len(TOKENS) // PAGE) * executor.cache.bytes_a_page // executor.model.config.n_layers
    return [await executor.device.read(kv, 0, size) for kv in executor.buffers.kv]


async def test_pages_are_the_same_however_the_prompt_is_cut(
    files: Files, plain_device: Device, quantized: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_three = await prefilled(quantized.loaded.executor, TOKENS)
    pages = await cached(quantized.loaded.executor)
    async with await load_with_chunk(files, plain_device, 256, monkeypatch, kv_dtype="q8") as whole:
        in_one = await prefilled(whole.loaded.executor, TOKENS)
        assert await cached(whole.loaded.executor) == pages
    np.testing.assert_allclose(in_one, in_three, rtol=0, atol=1e-5)
    assert all(any(page) for page in pages)


async def test_token_by_token_as_in_tiles(quantized: Engine) -> None:
    executor = quantized.loaded.executor
    steps = await stepped(executor, TOKENS)
    for length in (33, len(TOKENS)):
        tiles = await prefilled(executor, TOKENS[:length])
        assert np.abs(tiles - steps[length - 1]).max() < NEXT_STEP
    exact = await quantized.logits(TOKENS)
    assert np.abs(steps - exact).max() > 2 * NEXT_STEP, "8 bits are not float32"


async def test_cached_prefixes(quantized: Engine) -> None:
    """A prefix taken over in the middle of a page, and pages that two prompts share."""
    executor = quantized.loaded.executor
    settings = SamplingSettings(seed=5)
    others = [[*TOKENS[:n], *((t + 1) % 256 for t in TOKENS[n:120])] for n in (71, 32)]
    cold = []
    for prompt in others:
        executor.cache.pages.clear()
        cold.append((await drawn(quantized, prompt, settings, count=20))[0])
    executor.cache.pages.clear()
    await drawn(quantized, TOKENS[:71], settings, count=2)
    for prompt, alone, shared in zip(others, cold, (71, 32), strict=True):
        warm, stats = await drawn(quantized, prompt, settings, count=20)
        assert stats.cached_tokens == shared
        assert warm == alone


async def test_answers_decoded_together(quantized: Engine) -> None:
    """Several rows a step, and a copy of the prompt's last page for each."""
    settings = [SamplingSettings(seed=seed) for seed in range(3)]
    pages = quantized.loaded.executor.cache.pages
    pages.clear()
    together, _ = await drawn_together(quantized, PROMPT, settings, count=30)
    alone = []
    for one in settings:
        pages.clear()
        alone.append((await drawn(quantized, PROMPT, one, count=30))[0])
    assert together == alone
    assert together[0] != together[1]


async def test_a_cache_that_grows_keeps_what_is_there(files: Files, device: Device) -> None:
    """A prompt's cached beginning is moved to larger buffers when its end needs them.

    They take little more than half of what float16 would.
    """
    text = tokens_of(SMALL, 300)
    settings = SamplingSettings(seed=2)
    source = files.huggingface(SMALL)
    async with await webllm_py.load(source, device=device, kv_dtype="q8") as engine:
        executor = engine.loaded.executor
        pages = executor.cache.pages
        await drawn(engine, text[:250], settings, count=1)
        before, step = pages.capacity, await executor.decoder.step(1, 250)
        warm, stats = await drawn(engine, text, settings, count=10)
        assert stats.cached_tokens == 250 and pages.capacity > before
        assert await executor.decoder.step(1, 250) is step
        elements = 2 * SMALL.layers * SMALL.kv_heads * SMALL.head_dim * PAGE * pages.capacity
        assert sum(buffer.size for buffer in executor.buffers.kv) <= 0.55 * 2 * elements
        pages.clear()
        cold, stats = await drawn(engine, text, settings, count=10)
        assert stats.cached_tokens == 0 and cold == warm


async def test_a_chat_with_the_pocket_model(device: Device) -> None:
    """Each answer is read off keys and values in 8 bits."""
    turns = {
        "Hello! My name is Nora.": "Nora",
        "What is the capital of Japan?": "Tokyo",
        "74+14=?": "74 + 14 = 88.",
        "What is my name?": "Nora",
    }
    messages = []
    async with await webllm_py.load(device=device, kv_dtype="q8") as engine:
        for question, answer in turns.items():
            messages.append({"role": "user", "content": question})
            reply = await engine.chat.completions.create(
                messages=messages, temperature=0, max_tokens=40
            )
            said = reply.choices[0].message.content
            assert answer in said
            messages.append({"role": "assistant", "content": said})
