"""The logits of every position of a text: what ``engine.logits`` returns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

from webllm_py.gpu.device import Buffer
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.kv_cache import page_bytes
from webllm_py.models.step import PAGE, consecutive
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.kv.pages import Mix

__all__ = ["ROWS", "all_logits", "all_parts", "other_caches"]

# All rows of a chunk at a time would need vocab * chunk floats: fewer do.
ROWS = 32


async def all_logits(
    executor: Executor,
    tokens: Sequence[int],
    interrupted: Callable[[], bool],
    adapters: Mix = (),
) -> bytearray | None:
    """float32 logits of every position, (len(tokens), vocab), row-major.

    None if ``interrupted`` says so, which is asked after every few rows. All of it is in float32,
    keys and values as well, which are its own and not kept: pages in float16 and products in 8 bits
    cost generation little, but would be off here by up to a hundredth.

    Raises:
        GPUOutOfMemoryError: no memory for the keys and values.
    """
    logits = bytearray()
    size = 4 * executor.model.config.vocab_size
    async with all_parts(executor, tokens, adapters) as (parts, _):
        async for part, target in parts:
            if interrupted():
                return None
            logits += await executor.device.read(target, 0, size * len(part))
    return logits


Parts: TypeAlias = AsyncGenerator[tuple[Sequence[int], Buffer], None]


@asynccontextmanager
async def all_parts(
    executor: Executor, tokens: Sequence[int], adapters: Mix
) -> AsyncIterator[tuple[Parts, BufferOwner]]:
    """Some tokens after the other, each time with the buffer that has their logits; and what owns
    the buffers."""
    scratch = BufferOwner(executor.device)
    try:
        async with aclosing(in_parts(executor, tokens, adapters, scratch)) as parts:
            yield parts, scratch
    finally:
        scratch.free_all()


async def in_parts(
    executor: Executor, tokens: Sequence[int], adapters: Mix, scratch: BufferOwner
) -> Parts:
    config, device = executor.model.config, executor.device
    rows = min(ROWS, executor.chunk)
    target = scratch.create("all logits", 4 * config.vocab_size * rows)
    kv = other_caches(executor, scratch, "logits kv", len(tokens))
    await device.check()
    executor.use_adapters((0,), adapters, alone=True)
    dispatches = executor.forward(
        rows, kv_format="f32", gemm="plain", logits=target, kv=kv, adapted=bool(adapters)
    )
    plan = await device.record("all logits", dispatches)
    try:
        for start in range(0, len(tokens), rows):
            part = tokens[start : start + rows]
            executor.write_rows(consecutive(part, start))
            device.replay(plan)
            yield part, target
    finally:
        device.drop(plan)


def other_caches(
    executor: Executor, owner: BufferOwner, label: str, positions: int
) -> tuple[Buffer, ...]:
    """A cache in float32 beside the executor's, for a sequence of ``positions`` in slot 0: a
    buffer a layer."""
    config, pages = executor.model.config, -(-positions // PAGE)
    executor.cache.write_pages([(i, i) for i in range(pages)])
    executor.device.write(executor.buffers.step, executor.layout.state_offset(0), bytes(4))
    sizes = (
        config.state_bytes(i) or pages * page_bytes(config, "f32") for i in range(config.n_layers)
    )
    return tuple(owner.create(f"{label} {i}", size) for i, size in enumerate(sizes))
