"""What is done with the conversations that the cache keeps: save, load, fork and rewind."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_models import SMALL, tokens_of
from model_files import Files

import webllm_py
from webllm_py import Engine, RequestError, SourceError, StateError
from webllm_py.gpu import Device
from webllm_py.models.kv_cache import KVFormat

TOKENS = tokens_of(SMALL, 75)
MORE = [*TOKENS, *b" and then"]


@pytest.fixture
async def own(files: Files, device: Device) -> AsyncIterator[Engine]:
    """An engine whose cache nobody else fills."""
    async with await webllm_py.load(files.huggingface(SMALL), device=device) as engine:
        yield engine


async def answer(engine: Engine, prompt: list[int], count: int = 12) -> tuple[str, int]:
    """What is written, and how many of the prompt's tokens were cached."""
    reply = await engine.completions.create(
        prompt=prompt, max_tokens=count, temperature=0, ignore_eos=True
    )
    return reply.choices[0].text, reply.usage.prompt_tokens_details.cached_tokens


@pytest.mark.parametrize("kv_dtype", ["f16", "q8"])
async def test_a_state_moves_to_another_engine(
    kv_dtype: KVFormat, files: Files, device: Device, tmp_path: Path
) -> None:
    source = files.huggingface(SMALL)
    async with await webllm_py.load(source, device=device, kv_dtype=kv_dtype) as engine:
        await answer(engine, TOKENS, 1)
        state = await engine.save_state(tmp_path / "state")
        expected = (await answer(engine, MORE))[0]
    assert (tmp_path / "state").read_bytes() == state
    async with await webllm_py.load(source, device=device, kv_dtype=kv_dtype) as engine:
        await answer(engine, [7] * 40, 1)  # other pages than those that it was saved from
        assert await engine.load_state(tmp_path / "state") == len(TOKENS)
        assert await answer(engine, MORE) == (expected, len(TOKENS))
        assert await engine.load_state(state) == len(TOKENS)
        assert (await answer(engine, [*TOKENS, 65], 1))[1] == len(TOKENS)


async def test_states_that_are_refused(
    own: Engine, files: Files, device: Device, tmp_path: Path
) -> None:
    with pytest.raises(StateError, match="empty"):
        await own.save_state()
    with pytest.raises(SourceError, match="a browser's own"):
        await own.load_state("opfs:a")
    with pytest.raises(SourceError, match="nowhere cannot be read: No such file"):
        await own.load_state(tmp_path / "nowhere")
    await answer(own, TOKENS, 1)
    with pytest.raises(SourceError, match="cannot be written"):
        await own.save_state(tmp_path / "no folder" / "state")
    state = await own.save_state()
    damaged = [b"", b"GGUF" + state, state[:-1], state[:30], state[:20]]
    for at in (17, 22, 60, len(state) - 1):  # checksum, length, header, pages
        damaged.append(state[:at] + bytes([state[at] ^ 1]) + state[at + 1 :])
    rest = state[24 + int.from_bytes(state[20:24], "little") :]
    header = json.loads(state[24 : len(state) - len(rest)])
    for wrong in ({}, {**header, "tokens": ["a"]}, {**header, "adapters": [5]}, [], "{"):
        text = wrong if isinstance(wrong, str) else json.dumps(wrong)
        body = struct.pack("<I", len(text)) + text.encode() + rest
        damaged.append(state[:16] + struct.pack("<I", zlib.crc32(body)) + body)
    for data in damaged:
        with pytest.raises(StateError, match=r"no state|damaged"):
            await own.load_state(data)
    async with own.steer({0: [1.0] * SMALL.hidden}):
        with pytest.raises(StateError, match="steering"):
            await own.load_state(state)
    executor = own.loaded.executor
    before = executor.cache.pages.used
    other = replace(SMALL, name="another")
    for source, options, words in (
        (files.huggingface(other), {}, "other weights"),
        (files.huggingface(SMALL), {"kv_dtype": "f32"}, "kv_dtype='f16'"),
        (files.huggingface(SMALL), {"context_length": 64}, "larger context_length"),
    ):
        async with await webllm_py.load(source, device=device, **options) as engine:
            with pytest.raises(StateError, match=words):
                await engine.load_state(state)
    assert executor.cache.pages.used == before


async def test_fork(own: Engine) -> None:
    """Two prompts go on from one conversation, and neither spoils the other's pages."""
    branches = [[*TOKENS, *b"north"], [*TOKENS, *b"south"]]
    cold = []
    for branch in branches:
        own.loaded.executor.cache.pages.clear()
        cold.append((await answer(own, branch))[0])
    own.loaded.executor.cache.pages.clear()
    await answer(own, TOKENS, 1)
    used = own.loaded.executor.cache.pages.used
    assert await own.fork() == len(TOKENS)
    assert own.loaded.executor.cache.pages.used == used + 1, "whole pages are shared"
    for branch, text in zip(branches, cold, strict=True):
        assert await answer(own, branch) == (text, len(TOKENS))


async def test_rewind(own: Engine) -> None:
    with pytest.raises(StateError, match="empty"):
        await own.rewind(1)
    await answer(own, TOKENS, 1)
    pages = own.loaded.executor.cache.pages
    used = pages.used
    for wrong in (76, -1, 1.5, None):
        with pytest.raises(RequestError, match=f"from 0 to 75, not {wrong}"):
            await own.rewind(wrong)
    assert await own.rewind(40) == TOKENS[:35]
    assert pages.used == used - 1
    assert (await answer(own, TOKENS, 1))[1] == 35
    assert await own.rewind(75) == []
    assert pages.used == 0 and pages.newest is None
