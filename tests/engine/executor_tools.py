"""What tests of how the work is cut up do with an engine's executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import Engine
from webllm_py.gpu import Device
from webllm_py.loading import decoder
from webllm_py.models.step import Row
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.generate import Decoding, GenerationStats, generate
from webllm_py.runtime.generation.prefill import prefill
from webllm_py.runtime.sampling.settings import SamplingSettings

__all__ = ["drawn", "drawn_together", "load_with_chunk", "prefilled", "read_logits", "stepped"]


async def load_with_chunk(
    files: Files, device: Device, chunk: int, patch: pytest.MonkeyPatch, **options: str
) -> Engine:
    """The model, prefilling so many rows at a time."""
    tuning_for = decoder.tuning_for
    patch.setattr(decoder, "tuning_for", lambda d: replace(tuning_for(d), chunk=chunk))
    return await webllm_py.load(files.huggingface(SMALL), device=device, **options)


async def read_logits(executor: Executor) -> np.ndarray:
    vocab = executor.model.config.vocab_size
    data = await executor.device.read(executor.buffers.logits, 0, 4 * vocab)
    return np.frombuffer(data, np.float32)


async def prefilled(executor: Executor, tokens: Sequence[int]) -> np.ndarray:
    """Logits after the last token, prefilled from nothing."""
    executor.cache.pages.clear()
    sequence = executor.cache.begin(tokens)
    async for _ in prefill(executor, sequence, tokens):
        pass
    executor.go_on(sequence)
    executor.device.replay(await executor.decoder.plan("head"))
    logits = await read_logits(executor)
    executor.cache.pages.release(sequence)
    return logits


async def stepped(executor: Executor, tokens: Sequence[int]) -> np.ndarray:
    """Logits after every token, each computed on its own."""
    executor.cache.pages.clear()
    sequence = executor.cache.begin(tokens)
    rows = []
    for position, token in enumerate(tokens):
        await executor.cache.reserve(sequence, position + 1)
        executor.write_rows([Row(token, position)])
        executor.device.replay(await executor.decoder.logits(1, executor.context_length))
        rows.append(await read_logits(executor))
    executor.cache.pages.release(sequence)
    return np.array(rows)


async def drawn(
    engine: Engine, prompt: Sequence[int], settings: SamplingSettings, **options: Any
) -> tuple[list[int], GenerationStats]:
    """Tokens of one answer and what it took to get them; options as ``drawn_together``."""
    answers, stats = await drawn_together(engine, prompt, [settings], **options)
    return answers[0], stats[0]


async def drawn_together(
    engine: Engine,
    prompt: Sequence[int],
    settings: Sequence[SamplingSettings],
    *,
    count: int = 60,
    ends: Mapping[int, int] | None = None,
    guess: bool = False,
    **options: int,
) -> tuple[list[list[int]], list[GenerationStats]]:
    """The same of each answer; ``ends``: after how many tokens one needs no more."""
    stats = [GenerationStats() for _ in settings]
    answers: list[list[int]] = [[] for _ in settings]
    ended: set[int] = set()
    batches = generate(
        engine.loaded.executor,
        prompt,
        settings,
        Decoding(guess=guess, **options),
        max_tokens=count,
        stats=stats,
        ended=ended,
    )
    async for index, tokens in batches:
        assert index not in ended
        answers[index] += tokens
        if len(answers[index]) >= (ends or {}).get(index, count):
            ended.add(index)
    assert not engine.loaded.executor.cache.pages.running
    return answers, stats
