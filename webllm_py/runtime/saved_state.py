"""A conversation's keys and values as bytes, and what else is done with those that the cache keeps.

A saved state is ``MAGIC``, the CRC-32 of what follows and the length of a header (uint32, little
endian), the header (JSON), then the pages: of every layer in order, those of the sequence in order,
as the GPU has them; then the states of those layers that have states instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from webllm_py.errors import GPUOutOfMemoryError, StateError
from webllm_py.models.step import PAGE
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.prefill import prefill
from webllm_py.runtime.kv.hybrid import HybridCache
from webllm_py.runtime.kv.pages import Mix
from webllm_py.runtime.kv.pages import Sequence as CachedSequence

__all__ = ["fork_state", "load_state", "newest", "save_state"]

MAGIC = b"webllm_py state\n"
VERSION = 2
# Of the embedding and of the last layer's matrices, and of rotations: enough to tell models apart.
SAMPLE = 4096


def newest(executor: Executor) -> CachedSequence:
    """The sequence that finished last.

    Raises:
        StateError: there is none.
    """
    sequence = executor.cache.pages.newest
    if sequence is None:
        raise StateError("the cache is empty: answer a request first")
    return sequence


async def fork_state(executor: Executor) -> int:
    """Keep the newest sequence twice, so that two prompts can go on from it; its length.

    Raises:
        StateError: there is none.
        GPUOutOfMemoryError: no memory for the copy of its last page.
    """
    pages, sequence = executor.cache.pages, newest(executor)
    pages.reopen(sequence)  # not to make room for its own copy
    try:
        pages.finish(await executor.cache.fork(sequence, 0))
    except MemoryError:
        raise GPUOutOfMemoryError("the cache has no page left for a copy") from None
    finally:
        pages.finish(sequence)
    return len(sequence.tokens)


async def save_state(executor: Executor, name: str) -> bytes:
    """The newest sequence: its tokens, keys and values.

    Args:
        name: the model's, for people.

    Raises:
        StateError: there is none.
    """
    sequence, cache = newest(executor), executor.cache
    size, body = cache.page_bytes, bytearray()
    if isinstance(cache, HybridCache):
        sequence = await brought_to_its_end(executor, sequence)
    for layer in cache.paged:
        for first, count in runs(sequence.pages):
            body += await executor.device.read(cache.buffers[layer], first * size, count * size)
    if isinstance(cache, HybridCache):
        body += await cache.read_state(sequence.snapshots[-1].state)
    header = {
        "version": VERSION,
        "model": name,
        "fingerprint": await fingerprint(executor),
        "kv_dtype": executor.kv_format,
        "tokens": sequence.tokens,
        "dropped": sequence.dropped,
        "adapters": adapter_prints(executor, sequence.adapters),
    }
    text = json.dumps(header).encode()
    rest = b"".join([struct.pack("<I", len(text)), text, body])
    return b"".join([MAGIC, struct.pack("<I", zlib.crc32(rest)), rest])


async def load_state(executor: Executor, data: bytes) -> int:
    """Put a saved sequence among the finished ones; its length.

    Raises:
        StateError: it is damaged, another model's, or longer than the context.
        GPUOutOfMemoryError: no memory for its pages.
    """
    header, body = parsed(data)
    tokens, cache = header["tokens"], executor.cache
    if header["kv_dtype"] != executor.kv_format:
        raise StateError(
            f"this state's keys and values are {header['kv_dtype']}, the engine's "
            f"{executor.kv_format}; load the model with kv_dtype={header['kv_dtype']!r}"
        )
    if header["fingerprint"] != await fingerprint(executor):
        raise StateError(
            f"this state was saved by {header['model']}, with other weights, rotations or "
            "steering than this engine's model has; load it into the one that saved it"
        )
    if len(tokens) > executor.context_length:
        raise StateError(
            f"this state has {len(tokens):,} tokens, and the context holds "
            f"{executor.context_length:,}; load the model with a larger context_length"
        )
    size, pages = cache.page_bytes, -(-len(tokens) // PAGE)
    states = cache.whole_state_bytes if isinstance(cache, HybridCache) else 0
    if len(body) != size * pages * len(cache.paged) + states:
        raise StateError("this state is damaged: its pages are not as long as its tokens ask for")
    sequence = cache.pages.empty(loaded_mix(executor, header["adapters"]))
    try:
        await cache.reserve(sequence, len(tokens))
        view = memoryview(body)
        for nth, layer in enumerate(cache.paged):
            for i, page in enumerate(sequence.pages):
                at = (nth * pages + i) * size
                executor.device.write(cache.buffers[layer], page * size, view[at : at + size])
        sequence.tokens += tokens
        sequence.dropped += header["dropped"]
        if isinstance(cache, HybridCache):
            assert sequence.state is not None
            cache.fill_state(sequence.state, view[len(view) - states :])
            await cache.snapshot(sequence)
        await executor.device.check()
    except BaseException:
        cache.pages.release(sequence)
        raise
    cache.pages.finish(sequence)
    return len(tokens)


async def brought_to_its_end(executor: Executor, sequence: CachedSequence) -> CachedSequence:
    """A finished sequence with a snapshot behind its last token, computed from an earlier one.

    Raises:
        GPUOutOfMemoryError: no memory for the state.
    """
    tokens, cache = [*sequence.tokens], executor.cache
    assert isinstance(cache, HybridCache)
    executor.use_adapters((0,), sequence.adapters, alone=True)
    again = cache.begin([*tokens, tokens[0]], adapters=sequence.adapters)
    try:
        if rest := tokens[len(again.tokens) :]:
            async for _ in prefill(executor, again, rest):
                pass
        else:
            await cache.reserve(again, len(tokens))  # which gives it its state
        if not await cache.snapshot(again):
            raise GPUOutOfMemoryError("no memory for a copy of the conversation's state")
    finally:
        cache.pages.finish(again)
    return again


def adapter_prints(executor: Executor, mix: Mix) -> list[tuple[str, float]]:
    """The fingerprints and scales of adapters, in the place of numbers that mean nothing later."""
    loaded = executor.adapters.loaded.values() if executor.adapters else ()
    prints = {adapter.number: adapter.fingerprint for adapter in loaded}
    return [(prints[number], scale) for number, scale in mix]


def loaded_mix(executor: Executor, prints: Sequence[tuple[str, float]]) -> Mix:
    """The other way round.

    Raises:
        StateError: an adapter that is not loaded.
    """
    loaded = executor.adapters.loaded.values() if executor.adapters else ()
    numbers = {adapter.fingerprint: adapter.number for adapter in loaded}
    if any(found not in numbers for found, _ in prints):
        raise StateError(
            "this state was saved of a conversation with adapters that this engine has not loaded; "
            "load them first"
        )
    return tuple(sorted((numbers[found], scale) for found, scale in prints))


def parsed(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and pages of a saved state.

    Raises:
        StateError: it is none, of another version, or damaged.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise StateError("these bytes are no state that engine.save_state wrote")
    start = len(MAGIC) + 8
    if len(data) < start or zlib.crc32(memoryview(data)[start - 4 :]) != int.from_bytes(
        data[start - 8 : start - 4], "little"
    ):
        raise StateError("this state is damaged or cut short; save it again")
    end = start + int.from_bytes(data[start - 4 : start], "little")
    try:
        header: Any = json.loads(data[start:end])
    except (ValueError, RecursionError):
        header = None
    match header:
        case {"version": int(version)} if version != VERSION:
            raise StateError(
                f"this state has version {version}, and this webllm_py reads {VERSION}"
            )
        case {
            "model": str(),
            "fingerprint": str(),
            "kv_dtype": str(),
            "tokens": [_, *_] as tokens,
            "adapters": [*adapters],
        } if (
            isinstance(dropped := header.setdefault("dropped", []), list)  # older ones have none
            and are_ids(tokens + dropped)
            and all(map(is_scaled, adapters))
        ):
            return header, data[end:]
    raise StateError("this state is damaged: its header says nothing that webllm_py writes")


def are_ids(values: Sequence[Any]) -> bool:
    """Whether these are tokens' ids."""
    return all(type(value) is int and value >= 0 for value in values)


def is_scaled(value: Any) -> bool:
    """Whether this is an adapter's fingerprint and its scale."""
    match value:
        case [str(), int() | float()]:
            return True
    return False


async def fingerprint(executor: Executor) -> str:
    """Tells models whose keys and values differ apart: a hash of numbers, weights, rotations, and
    of what is added to the residual stream."""
    model, device, buffers = executor.model, executor.device, executor.buffers
    weights, last = executor.weights.matrices, f"blk.{model.config.n_layers - 1}."
    sampled = [
        buffer
        for name, (_, slices) in weights.items()
        if name == "token_embd" or name.startswith(last)
        for part in slices[:1]
        for _, buffer in sorted(part.buffers.items())
    ]
    sampled += [buffer for _, buffer in sorted(buffers.rope.items())]
    found = hashlib.sha256(repr((VERSION, PAGE, model.config)).encode())
    readings = [device.read(buffer, 0, min(SAMPLE, buffer.size)) for buffer in sampled]
    whole = sorted(buffers.steering.items())
    readings += [device.read(buffer, 0, buffer.size) for _, buffer in whole]
    for data in await asyncio.gather(*readings):
        found.update(data)
    found.update(repr([layer for layer, _ in whole]).encode())
    return found.hexdigest()


def runs(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First page and length of each run of pages that follow each other."""
    start = 0
    for end in range(1, len(pages) + 1):
        if end == len(pages) or pages[end] != pages[end - 1] + 1:
            yield pages[start], end - start
            start = end
