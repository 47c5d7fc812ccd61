"""Prefill: computes what the cache lacks of a prompt, a chunk at a time or step by step."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from webllm_py.models.image_rows import (
    NO_TOKEN,
    before_image,
    is_image_row,
    rows_ahead,
    rows_of_image,
)
from webllm_py.models.step import Row, consecutive
from webllm_py.runtime.kv.pages import Sequence as CachedSequence

if TYPE_CHECKING:
    from webllm_py.runtime.executor import Executor

__all__ = ["prefill", "retrace"]

# Of an answer that is retraced: so few that stopping is quick.
STEPS_QUEUED = 32


async def prefill(
    executor: Executor, sequence: CachedSequence, tokens: Sequence[int], slot: int = 0
) -> AsyncGenerator[CachedSequence, None]:
    """Compute the keys and values of tokens that follow the sequence, a chunk at a time; where
    some are rows of images, after each tile of these, too.

    At most two chunks are queued, so that stopping between them is quick. The hidden rows of
    the last chunk stay for ``go_on``.
    """
    end, start = len(sequence.tokens) + len(tokens), 0
    whole = executor.model.config.whole_images and executor.images is not None
    while start < len(tokens):
        needed = rows_of_image(tokens, start) if whole else 0
        await executor.cache.make_room(sequence, slot, needed or 1)
        stop = start + min(executor.chunk, executor.cache.at_once(len(sequence.tokens), end))
        part = tokens[start : before_image(tokens, stop) if whole else stop]
        images = executor.images if executor.images and any(map(is_image_row, part)) else None
        if images:
            async with aclosing(images.make(part)) as tiles:
                async for _ in tiles:
                    yield sequence
        await executor.cache.reserve(sequence, len(sequence.tokens) + len(part), slot)
        plan = await executor.forward_plan(len(part), images, adapted=bool(sequence.adapters))
        words = [min(token, NO_TOKEN) for token in part] if images else part
        ahead = rows_ahead(part) if images and whole else ()
        executor.write_rows(consecutive(words, len(sequence.tokens), slot, ahead))
        if images:
            images.put(part)
        if start:
            await executor.device.idle()
        executor.device.replay(plan)
        sequence.tokens += part
        start += len(part)
        executor.last_row = len(part) - 1
        await executor.cache.computed(sequence, end, slot)
        yield sequence


async def retrace(
    executor: Executor,
    sequence: CachedSequence,
    prompt: Sequence[int],
    said: Sequence[int] = (),
    slot: int = 0,
) -> AsyncGenerator[CachedSequence, None]:
    """Compute what a sequence lacks of a prompt, by ``prefill``, and of an answer that it got
    elsewhere: step by step as it was drawn, so that keys and values are the same to the bit.
    The newest token of that is left to the next step.
    """
    chunks = prefill(executor, sequence, prompt[sequence.read :], slot)
    async with aclosing(chunks):
        async for _ in chunks:
            yield sequence
    for token in said[sequence.read - len(prompt) : -1]:
        await executor.cache.make_room(sequence, slot)
        position = len(sequence.tokens)
        await executor.cache.reserve(sequence, position + 1, slot)
        fused = position < executor.fused_keys
        plan = await executor.forward_plan(1, adapted=bool(sequence.adapters), fused=fused)
        executor.write_rows([Row(token, position, slot)])
        executor.device.replay(plan)
        sequence.tokens.append(token)
        if position % STEPS_QUEUED == 0:
            await executor.device.idle()
            yield sequence
