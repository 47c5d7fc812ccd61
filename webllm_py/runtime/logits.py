"""The logits of every position of a text: what ``engine.logits`` returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from webllm_py.gpu.device import Plan
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.kv_cache import page_bytes
from webllm_py.models.step import PAGE
from webllm_py.runtime.executor import Executor, consecutive

__all__ = ["all_logits"]

# All rows of a chunk at a time would need vocab * chunk floats: fewer do.
ROWS = 32


async def all_logits(
    executor: Executor, tokens: Sequence[int], interrupted: Callable[[], bool]
) -> bytearray | None:
    """float32 logits of every position, (len(tokens), vocab), row-major.

    None if ``interrupted`` says so, which is asked after every few rows. All of it is in float32,
    keys and values as well, which are its own and not kept: pages in float16 and products in 8 bits
    cost generation little, but would be off here by up to a hundredth.

    Raises:
        GPUOutOfMemoryError: no memory for the keys and values.
    """
    config, device = executor.model.config, executor.device
    rows = min(ROWS, executor.chunk)
    pages = -(-len(tokens) // PAGE)
    scratch = BufferOwner(device)
    plan: Plan | None = None
    logits = bytearray()
    try:
        target = scratch.create("all logits", 4 * config.vocab_size * rows)
        size = pages * page_bytes(config, "f32")
        kv = tuple(scratch.create(f"logits kv {i}", size) for i in range(config.n_layers))
        await device.check()
        executor.cache.write_pages([(i, i) for i in range(pages)])
        dispatches = executor.forward(rows, kv_format="f32", dot4=False, logits=target, kv=kv)
        plan = await device.record("all logits", dispatches)
        for start in range(0, len(tokens), rows):
            if interrupted():
                return None
            part = tokens[start : start + rows]
            executor.write_rows(consecutive(part, start))
            device.replay(plan)
            logits += await device.read(target, 0, 4 * config.vocab_size * len(part))
    finally:
        if plan:
            device.drop(plan)
        scratch.free_all()
    return logits
