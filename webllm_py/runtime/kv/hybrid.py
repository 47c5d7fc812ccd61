"""The cache of a model with recurrent layers: pages of its attention layers, and states of the
others."""

from __future__ import annotations

import struct
from contextlib import suppress

from webllm_py.errors import GPUOutOfMemoryError
from webllm_py.models.config import ModelConfig
from webllm_py.models.step import PAGE
from webllm_py.runtime.kv.cache import CacheSpec, KVCache
from webllm_py.runtime.kv.pages import Sequence as CachedSequence
from webllm_py.runtime.kv.pages import StateSnapshot
from webllm_py.runtime.kv.states import HybridPages, StatePool

__all__ = ["HybridCache"]

FIRST_STATES = 2
# Snapshots are kept up to this, but no fewer and no more than so many.
SNAPSHOT_BYTES = 192 << 20
FEWEST_SNAPSHOTS, MOST_SNAPSHOTS = 2, 16
# Templates write a prompt's last tokens otherwise once an answer follows: snapshots are before.
BEFORE_END = 8


class HybridCache(KVCache):
    """See ``KVCache``; ``runtime.kv.states`` says what states and snapshots are."""

    def __init__(self, spec: CacheSpec):
        super().__init__(spec)
        config = spec.config
        assert config.recurrence
        self.state_bytes = config.recurrence.state_bytes
        self.states = StatePool(spec.device.limits.most_bound // self.state_bytes)
        self.pages: HybridPages = HybridPages(self.pages.max_pages, self.states)
        self.kept_states = [i for i in range(config.n_layers) if i not in self.paged]
        self.most_snapshots = min(
            max(SNAPSHOT_BYTES // self.whole_state_bytes, FEWEST_SNAPSHOTS), MOST_SNAPSHOTS
        )
        self.states.grow_to(FIRST_STATES)

    @staticmethod
    def first_bytes(config: ModelConfig, layer: int) -> int:
        """See the base class; of a layer with states, some are there from the beginning."""
        states = FIRST_STATES * config.state_bytes(layer)
        return states or KVCache.first_bytes(config, layer)

    async def reserve(self, sequence: CachedSequence, length: int, slot: int = 0) -> None:
        """Also gives a sequence its state, when it has none yet.

        Raises:
            GPUOutOfMemoryError: no memory for either.
        """
        if sequence.state is None:
            await self._give_state(sequence, slot)
        await super().reserve(sequence, length, slot)

    async def fork(self, sequence: CachedSequence, slot: int) -> CachedSequence:
        """See the base class. A sequence has a state to copy, a finished one snapshots."""
        fork = await super().fork(sequence, slot)
        if sequence.state is not None:
            try:
                await self._give_state(fork, slot, sequence.state)
            except BaseException:
                self.pages.release(fork)
                raise
        return fork

    def at_once(self, length: int, end: int) -> int:
        """Up to the snapshot near the end, then the rest."""
        snapshot = last_snapshot(end)
        return (snapshot if length < snapshot else end) - length

    async def computed(self, sequence: CachedSequence, end: int, slot: int = 0) -> None:
        """StateSnapshot the ends of chunks that later prompts may have in common."""
        length = len(sequence.tokens)
        if length % PAGE == 0 and length <= last_snapshot(end):
            await self.snapshot(sequence)

    async def snapshot(self, sequence: CachedSequence) -> bool:
        """Keep what the sequence's state is behind its last token; whether there is memory."""
        assert sequence.state is not None
        self.drop_snapshots_at(sequence, len(sequence.tokens))
        state = await self._free_state(self.states.taken + self.most_snapshots)
        if state is None:
            return False
        snapshot = StateSnapshot(len(sequence.tokens), state)
        self.states.share(snapshot)
        sequence.snapshots.append(snapshot)
        await self.copy_state(sequence.state, state)
        return True

    def drop_snapshots_at(self, sequence: CachedSequence, position: int) -> None:
        """Forget what a snapshot there was, if there is one, and those whose states are gone."""
        alive = self.states.alive(sequence.snapshots)
        sequence.snapshots[:] = [snapshot for snapshot in alive if snapshot.position != position]
        for snapshot in alive:
            if snapshot.position == position:
                self.states.let_go(snapshot)

    async def _give_state(
        self, sequence: CachedSequence, slot: int, source: int | None = None
    ) -> None:
        """A state of its own, a copy of the one that it goes on from, if it does."""
        state = await self._free_state(self.states.taken + 1)
        if state is None:
            raise GPUOutOfMemoryError("no memory for another sequence's state")
        sequence.state = state
        if sequence.resumed:
            source = sequence.resumed.state
        if source is not None:
            await self.copy_state(source, state)
        self.pages.unpin(sequence)
        self.write_state(state, slot)

    async def _free_state(self, capacity: int) -> int | None:
        """A free state: one of a pool of at most ``capacity``, or else the oldest snapshot's."""
        state = self.states.take()
        if state is None and self.states.capacity < min(capacity, self.states.most):
            # By half, if that may be: what is there has to be copied.
            grown = max(self.states.capacity + 1, self.states.capacity * 3 // 2)
            with suppress(GPUOutOfMemoryError):  # a snapshot makes room
                await self._grow_states(min(grown, capacity, self.states.most))
            state = self.states.take()
        if state is None and self.states.forget_oldest():
            state = self.states.take()
        return state

    async def _grow_states(self, capacity: int) -> None:
        kept = self.states.capacity * self.state_bytes
        layers = [self.buffers[i] for i in self.kept_states]
        await self.owner.enlarge(layers, capacity * self.state_bytes, kept)
        self.states.grow_to(capacity)

    @property
    def later_bytes(self) -> int:
        """Bytes of the states of snapshots that are made later than the first states."""
        return (1 + self.most_snapshots - FIRST_STATES) * self.whole_state_bytes

    @property
    def whole_state_bytes(self) -> int:
        """Bytes of a state, all layers together."""
        return self.state_bytes * len(self.kept_states)

    async def read_state(self, state: int) -> bytes:
        """A state's bytes, layer by layer."""
        size, parts = self.state_bytes, []
        for i in self.kept_states:
            parts.append(await self.device.read(self.buffers[i], state * size, size))
        return b"".join(parts)

    def fill_state(self, state: int, data: memoryview) -> None:
        """Put such bytes into a state."""
        size = self.state_bytes
        for nth, i in enumerate(self.kept_states):
            self.device.write(self.buffers[i], state * size, data[nth * size : (nth + 1) * size])

    def write_state(self, state: int, slot: int = 0) -> None:
        """Say which state a slot's rows go on with."""
        self.device.write(self.step, self.layout.state_offset(slot), struct.pack("<I", state))

    async def copy_state(self, source: int, target: int) -> None:
        """Copy a state over another one."""
        await self._copy("copy state", self.kept_states, self.state_bytes, source, target)


def last_snapshot(end: int) -> int:
    """Where the state of a prompt that ends there is marked for the last time; 0 for nowhere."""
    return max(0, end - BEFORE_END) // PAGE * PAGE
