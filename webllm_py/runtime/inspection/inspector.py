"""A pass that is looked at: what each layer leaves, what its heads attend to, and what the output
layer would make of it (the logit lens, nostalgebraist 2020).

Layers run one by one, each a plan of its own, so that what is between them can be read, and
changed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any, TypeAlias

from webllm_py.gpu.device import Buffer, Plan
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.activations import padded
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.step import consecutive
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.inspection.logits import ROWS, other_caches
from webllm_py.runtime.kv.pages import Mix

__all__ = ["Found", "Hook", "Wanted", "inspect"]

Hook: TypeAlias = Callable[[int, range, "array[float]"], "array[float]"]
"""Layer, positions, hidden rows that leave it -> the rows that go on."""


@dataclass(frozen=True)
class Wanted:
    """What is looked at.

    Attributes:
        attentions: layers whose attention is, in rising order.
        lens: states (0 the embeddings, i what leaves the i-th layer), in rising order, whose rows
            at ``positions``, in rising order, get logits.
        hooks: by layer.
    """

    hidden_states: bool = False
    logits: bool = False
    attentions: Sequence[int] = ()
    lens: Sequence[int] = ()
    positions: Sequence[int] = ()
    hooks: Mapping[int, Hook] = field(default_factory=dict)

    def shapes(self, config: ModelConfig, tokens: int) -> dict[str, tuple[int, ...]]:
        """The shapes of what is wanted of ``tokens`` tokens, by the names of ``Found``."""
        shapes: dict[str, tuple[int, ...]] = {}
        if self.hidden_states:
            shapes["hidden_states"] = (config.n_layers + 1, tokens, config.hidden_size)
        if self.attentions:
            shapes["attentions"] = (len(self.attentions), config.n_heads, tokens, tokens)
        if self.logits:
            shapes["logits"] = (tokens, config.vocab_size)
        if self.lens:
            shapes["lens"] = (len(self.lens), len(self.positions), config.vocab_size)
        return shapes


@dataclass
class Found:
    """float32, row-major: hidden_states (layers + 1, tokens, hidden), the last one normed;
    attentions (layers looked at, heads, tokens, tokens); logits (tokens, vocab); lens (states
    looked at, positions, vocab). Empty where it is not wanted."""

    hidden_states: bytearray = field(default_factory=bytearray)
    attentions: bytearray = field(default_factory=bytearray)
    logits: bytearray = field(default_factory=bytearray)
    lens: bytearray = field(default_factory=bytearray)


async def inspect(
    executor: Executor,
    tokens: Sequence[int],
    wanted: Wanted,
    interrupted: Callable[[], bool],
    adapters: Mix = (),
) -> Found | None:
    """Run tokens through the model in float32, beside the cache, and find what is wanted.

    None if ``interrupted`` says so, which is asked after every few rows.

    Raises:
        GPUOutOfMemoryError: no memory for the keys and values.
    """
    scratch = BufferOwner(executor.device)
    inspector = Inspector(executor, tokens, wanted, adapters, scratch)
    try:
        await inspector.prepare()
        for start in range(0, len(tokens), inspector.rows):
            if interrupted():
                return None
            await inspector.run(start)
        return inspector.found
    finally:
        for plan in inspector.plans.values():
            executor.device.drop(plan)
        scratch.free_all()


class Inspector:
    """The pass over one text, ``rows`` positions at a time.

    Attributes:
        plans: recorded; of a layer by its number.
    """

    def __init__(
        self,
        executor: Executor,
        tokens: Sequence[int],
        wanted: Wanted,
        adapters: Mix,
        scratch: BufferOwner,
    ):
        self.executor, self.tokens, self.wanted = executor, tokens, wanted
        self.adapters = adapters
        self.device, self.config = executor.device, executor.model.config
        self.rows = min(ROWS, executor.chunk)
        config, length = self.config, len(tokens)
        kv = other_caches(executor, scratch, "inspected kv", length)
        self.logits = scratch.create("inspected logits", 4 * config.vocab_size * self.rows)
        self.weights: Buffer | None = None
        if wanted.attentions:
            seen = 4 * config.n_heads * self.rows * length
            self.weights = scratch.create("attention weights", seen)
        self.others: dict[str, Any] = {"kv": kv, "logits": self.logits, "seen_keys": length}
        self.plans: dict[str | int, Plan] = {}
        shapes = wanted.shapes(config, length)
        self.found = Found(**{name: bytearray(4 * prod(of)) for name, of in shapes.items()})

    async def prepare(self) -> None:
        """Record every layer."""
        await self.device.check()
        self.executor.use_adapters((0,), self.adapters, alone=True)
        model, wanted = self.executor.model, self.wanted
        await self.record("embed", model.embed)
        for layer in range(self.config.n_layers):
            weights = self.weights if layer in wanted.attentions else None
            await self.record(layer, partial(model.layer, index=layer), weights=weights)
        await self.record("norm", model.last_norm)
        await self.record("head", model.head)

    async def record(self, name: str | int, make: Callable[[Graph], None], **more: Any) -> None:
        """A plan of some operations."""
        others = {**self.others, **more, "adapted": bool(self.adapters)}
        graph = self.executor.graph(self.rows, kv_format="f32", gemm="plain", **others)
        make(graph)
        self.plans[name] = await self.device.record(f"inspected {name}", graph.dispatches)

    async def run(self, start: int) -> None:
        """The positions from ``start`` on."""
        part = self.tokens[start : start + self.rows]
        positions = range(start, start + len(part))
        self.executor.write_rows(consecutive(part, start))
        self.device.replay(self.plans["embed"])
        await self.keep_state(0, positions)
        for layer in range(self.config.n_layers):
            self.device.replay(self.plans[layer])
            if layer in self.wanted.attentions:
                await self.keep_attention(layer, positions)
            if layer in self.wanted.hooks:
                await self.call_hook(layer, positions)
            await self.keep_state(layer + 1, positions)

    async def keep_state(self, state: int, positions: range) -> None:
        """What is wanted of the hidden rows as they are now."""
        wanted, last = self.wanted, state == self.config.n_layers
        if state in wanted.lens:
            await self.keep_lens(wanted.lens.index(state), positions)
        if wanted.logits and last:
            self.device.replay(self.plans["head"])
            size = 4 * self.config.vocab_size
            data = await self.device.read(self.logits, 0, size * len(positions))
            put(self.found.logits, size * positions.start, data)
        if wanted.hidden_states:
            if last:
                self.device.replay(self.plans["norm"])
            buffers = self.executor.buffers
            data = await self.hidden(buffers.normed if last else buffers.hidden, len(positions))
            row = state * len(self.tokens) + positions.start
            put(self.found.hidden_states, 4 * self.config.hidden_size * row, data)

    async def keep_lens(self, entry: int, positions: range) -> None:
        """What the output layer makes of the hidden rows."""
        size, wanted = 4 * self.config.vocab_size, self.wanted.positions
        if any(position in positions for position in wanted):
            self.device.replay(self.plans["head"])
        for i, position in enumerate(wanted):
            if position in positions:
                offset = size * (position - positions.start)
                data = await self.device.read(self.logits, offset, size)
                put(self.found.lens, size * (entry * len(wanted) + i), data)

    async def keep_attention(self, layer: int, positions: range) -> None:
        """The rows of a layer's weights, head by head."""
        assert self.weights
        config, length = self.config, len(self.tokens)
        data = await self.device.read(self.weights, 0, 4 * config.n_heads * self.rows * length)
        entry, size = self.wanted.attentions.index(layer), 4 * length * len(positions)
        for head in range(config.n_heads):
            at = 4 * head * self.rows * length
            row = (entry * config.n_heads + head) * length + positions.start
            put(self.found.attentions, 4 * length * row, data[at : at + size])

    async def call_hook(self, layer: int, positions: range) -> None:
        """Hidden rows to Python and back."""
        hidden, width = self.executor.buffers.hidden, self.config.hidden_size
        rows = array("f")
        rows.frombytes(await self.hidden(hidden, len(positions)))
        rows = self.wanted.hooks[layer](layer, positions, rows)
        for row in range(len(positions)):
            changed = rows[row * width : (row + 1) * width].tobytes()
            self.device.write(hidden, 4 * padded(width) * row, changed)

    async def hidden(self, buffer: Buffer, rows: int) -> bytes:
        """Rows of hidden elements, without what they are padded with."""
        size, stride = 4 * self.config.hidden_size, 4 * padded(self.config.hidden_size)
        data = await self.device.read(buffer, 0, stride * rows)
        if size == stride:
            return data
        return b"".join(data[at : at + size] for at in range(0, len(data), stride))


def put(target: bytearray, offset: int, data: bytes) -> None:
    """Overwrite a part."""
    target[offset : offset + len(data)] = data
