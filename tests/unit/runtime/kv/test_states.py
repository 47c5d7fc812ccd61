"""States of recurrent layers against a naive model: every sequence goes on from what its own tokens
made, whoever else takes, copies, snapshots or gives back states meanwhile."""

from __future__ import annotations

import random
import struct
import sys
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "gpu"))

from fake_device import FakeDevice

from webllm_py.errors import GPUOutOfMemoryError
from webllm_py.gpu.device import Buffer
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.config import LayerKind, ModelConfig
from webllm_py.models.recurrence import DeltaConfig
from webllm_py.models.step import PAGE, SLOTS, StepLayout
from webllm_py.runtime.kv.cache import CacheSpec
from webllm_py.runtime.kv.hybrid import HybridCache, last_snapshot
from webllm_py.runtime.kv.pages import Sequence

CONFIG = ModelConfig(
    architecture="made",
    vocab_size=16,
    hidden_size=8,
    intermediate_size=8,
    n_layers=2,
    n_heads=1,
    n_kv_heads=1,
    head_dim=8,
    rotary_dim=8,
    norm_eps=1e-5,
    context_length=10 * PAGE,
    rope_theta=1e4,
    rope_scaling=None,
    adjacent_pairs=False,
    layer_kinds=(LayerKind(recurrent=True), LayerKind()),
    recurrence=DeltaConfig(k_heads=1, v_heads=1, k_dim=16, v_dim=4),
)
CHUNK = 48


class Simulated(HybridCache):
    """The real cache over buffers in Python, and what the kernels would do to states: one holds a
    hash of the tokens that it has seen."""

    async def copy_state(self, source: int, target: int) -> None:
        await super().copy_state(source, target)
        memory, size = self.memory, self.state_bytes
        memory[target * size :][:size] = memory[source * size :][:size]

    @property
    def memory(self) -> memoryview:
        (layer,) = self.kept_states
        assert isinstance(self.device, FakeDevice)
        return memoryview(self.device.live[self.buffers[layer]])

    def state_of(self, slot: int) -> int:
        """The one that the step buffer names."""
        assert isinstance(self.device, FakeDevice)
        return int(
            struct.unpack_from("<I", self.device.live[self.step], self.layout.state_offset(slot))[0]
        )

    async def prefill(self, sequence: Sequence, tokens: list[int], slot: int) -> None:
        """As ``Executor.prefill`` does it."""
        end = len(sequence.tokens) + len(tokens)
        while tokens:
            part = tokens[:CHUNK][: self.at_once(len(sequence.tokens), end)]
            await self.reserve(sequence, len(sequence.tokens) + len(part), slot)
            self.compute(sequence.tokens, part, slot)
            sequence.tokens += part
            tokens = tokens[len(part) :]
            await self.computed(sequence, end, slot)

    def compute(self, before: list[int], tokens: list[int], slot: int) -> None:
        """What a chunk, or steps, make of a slot's state."""
        at = self.state_of(slot) * self.state_bytes
        if before:
            assert struct.unpack_from("<I", self.memory, at)[0] == digest(before), "another's state"
        struct.pack_into("<I", self.memory, at, digest([*before, *tokens]))


def digest(tokens: list[int]) -> int:
    return zlib.crc32(repr(tokens).encode())


def made(device: FakeDevice) -> Simulated:
    owner = BufferOwner(device)
    layout = StepLayout(CHUNK, 10)
    step = owner.create("step", layout.nbytes)
    spec = CacheSpec(device, owner, CONFIG, "f32", layout, step, bindable=1000)
    return Simulated(spec)


def text(chance: random.Random, length: int) -> list[int]:
    return [chance.randrange(16) for _ in range(length)]


@pytest.mark.parametrize("seed", range(20))
async def test_random_conversations(seed: int) -> None:
    """Several at a time, that begin alike, fork, run past their ends, and are gone on from."""
    chance = random.Random(seed)
    cache = made(FakeDevice())
    await cache.prepare()
    room = CONFIG.context_length
    texts = [text(chance, chance.randrange(80, room // 2)) for _ in range(2)]
    running: dict[int, Sequence] = {}
    hits = 0
    for _ in range(60):
        free = [slot for slot in range(4) if slot not in running]
        if free and chance.random() < 0.6:
            base = chance.choice(texts)
            prompt = base[: chance.randrange(len(base) // 3, len(base) + 1)] + text(
                chance, 1 + chance.randrange(40)
            )
            slot = free[0]
            sequence = cache.begin(prompt, slot)
            assert sequence.tokens == prompt[: len(sequence.tokens)] and len(sequence.tokens) < len(
                prompt
            )
            hits += bool(sequence.tokens)
            await cache.prefill(sequence, prompt[len(sequence.tokens) :], slot)
            assert len(sequence.tokens) == len(prompt)
            running[slot] = sequence
            for other in free[1:] if chance.random() < 0.3 else ():
                running[other] = await cache.fork(sequence, other)
        for slot, sequence in [*running.items()]:
            drawn = text(chance, chance.randrange(1, 20))
            await cache.reserve(sequence, len(sequence.tokens) + len(drawn), slot)
            cache.compute(sequence.tokens, drawn, slot)
            if chance.random() < 0.4:
                sequence.tokens += drawn[: chance.randrange(len(drawn))]
                texts.append([*sequence.tokens][: room // 2])
                cache.pages.finish(running.pop(slot))
            else:
                sequence.tokens += drawn
        check(cache, [*running.values()])
    assert hits > 2, "the cache was never of use"
    for sequence in running.values():
        cache.pages.finish(sequence)
    cache.pages.clear()
    check(cache, [])
    assert cache.states.taken == 0


def check(cache: Simulated, running: list[Sequence]) -> None:
    """No state is lost or of two sequences, and snapshots hold what they say."""
    states = cache.states
    own = [sequence.state for sequence in running]
    marked = [one.state for one in states._snapshots]
    assert sorted([*states._free, *own, *marked]) == [*range(states.capacity)]
    for sequence in (*cache.pages._finished, *running):
        for snapshot in states.alive(sequence.snapshots):
            held = struct.unpack_from("<I", cache.memory, snapshot.state * cache.state_bytes)[0]
            assert held == digest(sequence.tokens[: snapshot.position])


def test_where_prompts_are_marked() -> None:
    assert [last_snapshot(end) for end in (1, 39, 40, 71, 72)] == [0, 0, 32, 32, 64]


async def test_no_memory_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks make room for sequences; where there are none left, an error says so."""
    device = FakeDevice()
    cache = made(device)
    await cache.prepare()
    first = cache.begin([1] * 60)
    await cache.prefill(first, [1] * 60, 0)
    assert cache.states.alive(first.snapshots)
    create = device.create_buffer

    def full(label: str, size: int) -> Buffer:
        if size > cache.states.capacity * cache.state_bytes and "kv 0" in label:
            raise GPUOutOfMemoryError("full")
        return create(label, size)

    monkeypatch.setattr(device, "create_buffer", full)
    second = cache.begin([2] * 9, 1)
    await cache.prefill(second, [2] * 9, 1)
    assert not cache.states.alive(first.snapshots)
    third = cache.begin([3] * 9, 2)
    with pytest.raises(GPUOutOfMemoryError, match="another sequence's state"):
        await cache.prefill(third, [3] * 9, 2)
    assert cache.states.taken == 2 <= SLOTS
