"""Adapters on the GPU, beside the weights: loaded and unloaded at run time, chosen by each request.

All that are loaded lie together beside each matrix, so that one pass serves rows of requests with
different ones. A request without any runs the plans that it had before there were adapters.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webllm_py.checkpoint.adapter import Adapter
from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import AdapterError
from webllm_py.gpu.device import Buffer
from webllm_py.models.lora import LowRank, segments_of
from webllm_py.models.lora_shrink import MOST_PARTS
from webllm_py.models.step import MOST_ADAPTERS, SLOTS
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.kv.pages import Mix
from webllm_py.runtime.lora.layout import Layout, Placed
from webllm_py.runtime.lora.loader import LoraLoader

__all__ = ["Adapters", "LoadedAdapter"]

SAMPLE = 4096  # bytes of a tensor that tell adapters apart


@dataclass(frozen=True)
class LoadedAdapter:
    """An adapter that requests may ask for.

    Attributes:
        number: its own, never given twice.
        index: where its scales are, of those that are loaded.
        rank: the highest.
        modules: how many linear layers it is for.
        nbytes: of GPU memory that loading it took.
        fingerprint: tells adapters of other weights apart.
    """

    name: str
    number: int
    index: int
    rank: int
    modules: int
    n_parameters: int
    nbytes: int
    fingerprint: str


class Adapters:
    """The adapters of a model.

    Attributes:
        loaded: by name.
        matrices: what stands beside matrices, by their names.
    """

    def __init__(self, executor: Executor):
        self.executor = executor
        self.loaded: dict[str, LoadedAdapter] = {}
        self.matrices: Mapping[str, LowRank] = {}
        self._placed: dict[str, list[Placed]] = {}
        self._layouts: dict[str, Layout] = {}
        self._used: set[int] = set()  # what the layouts' tables tell of
        self._in_slot: dict[int, Mix] = {}
        self._numbers = 0

    def mix(self, scales: Mapping[str, float]) -> Mix:
        """What a request asks for, by numbers; adapters at scale 0 count as none.

        Raises:
            KeyError: no adapter of a name is loaded.
        """
        asked = ((self.loaded[name].number, float(scale)) for name, scale in scales.items())
        return tuple(sorted((number, scale) for number, scale in asked if scale))

    def use(self, slots: Sequence[int], mix: Mix, *, alone: bool = False) -> None:
        """Rows of these slots have these adapters from now on; if ``alone``, those of others have
        none."""
        for slot in [*self._in_slot] if alone else ():
            if slot not in slots:
                self._scale(slot, ())
        for slot in slots:
            self._scale(slot, mix)
        if mix:
            self._tell_used()

    def _scale(self, slot: int, mix: Mix) -> None:
        if self._in_slot.get(slot, ()) == mix:
            return
        scales, given = array("f", bytes(4 * MOST_ADAPTERS)), dict(mix)
        for adapter in self.loaded.values():
            scales[adapter.index] = given.get(adapter.number, 0.0)
        self._write_scales(slot, scales.tobytes())
        self._in_slot[slot] = mix

    def _write_scales(self, slot: int, scales: bytes) -> None:
        """From this slot on."""
        executor = self.executor
        executor.device.write(executor.buffers.step, executor.layout.scales_offset(slot), scales)

    def _tell_used(self) -> None:
        """Adapters that no slot has cost nothing."""
        numbers = {number for mix in self._in_slot.values() for number, _ in mix}
        used = {one.index for one in self.loaded.values() if one.number in numbers}
        if used != self._used:
            self._used = used
            for name, layout in self._layouts.items():
                buffer = self.matrices[name].buffer
                self.executor.device.write(buffer, 16 * layout.at, layout.table(used))

    def _use_none(self) -> None:
        """Where adapters lie has changed: no slot has any."""
        self._in_slot.clear()
        self._used = set()
        self._write_scales(0, bytes(4 * SLOTS * MOST_ADAPTERS))

    async def add(self, name: str, adapter: Adapter) -> LoadedAdapter:
        """Load one. Nothing may be under way.

        Raises:
            AdapterError: it does not fit the model, or too many are loaded.
            GPUOutOfMemoryError, DeviceLimitError: no room for it; then nothing has changed.
        """
        taken = {loaded.index for loaded in self.loaded.values()}
        free = [index for index in range(MOST_ADAPTERS) if index not in taken]
        if not free:
            raise AdapterError(f"{MOST_ADAPTERS} adapters are loaded; unload one first")
        segments = segments_of(self.executor.model, adapter)
        placed = {key: [*kept] for key, kept in self._placed.items()}
        for segment in segments:
            placed.setdefault(segment.matrix, []).append(Placed(segment, free[0]))
        before, found_print = self.executor.owner.nbytes, await fingerprint(adapter)
        await self._rebuild(placed, {segment.matrix for segment in segments}, adapter)
        pairs = adapter.pairs.values()
        self.loaded[name] = LoadedAdapter(
            name=name,
            number=self._numbers,
            index=free[0],
            rank=max(pair.rank for pair in pairs),
            modules=len(pairs),
            n_parameters=sum(count(pair.a) + count(pair.b) for pair in pairs),
            nbytes=self.executor.owner.nbytes - before,
            fingerprint=found_print,
        )
        self._numbers += 1
        return self.loaded[name]

    async def remove(self, name: str) -> None:
        """Unload one and free its memory. Nothing may be under way.

        Raises:
            KeyError: none of that name is loaded.
            GPUOutOfMemoryError: no room to move the others; then nothing has changed.
        """
        index = self.loaded[name].index
        placed = {
            key: [one for one in several if one.index != index]
            for key, several in self._placed.items()
        }
        changed = {key for key in placed if len(placed[key]) < len(self._placed[key])}
        await self._rebuild(placed, changed)
        gone = self.loaded.pop(name)
        self.executor.cache.pages.forget_adapter(gone.number)

    async def _rebuild(
        self,
        placed: dict[str, list[Placed]],
        changed: set[str],
        adapter: Adapter | None = None,
    ) -> None:
        """Put what belongs beside the changed matrices into new buffers, and free the old ones."""
        executor = self.executor
        loader = LoraLoader(executor.device)
        matrices, layouts, made = dict(self.matrices), dict(self._layouts), list[Buffer]()
        try:
            for name in sorted(changed):
                old = matrices.pop(name, None)
                layouts.pop(name, None)
                if not placed[name]:
                    del placed[name]
                    continue
                layout = self._layout(name, placed[name])
                buffer = executor.owner.create(f"{name} adapters", layout.nbytes)
                made.append(buffer)
                matrices[name] = LowRank(buffer, layout.at, layout.quads, layout.rows)
                self._copy_vector(name, buffer)
                layouts[name] = layout
                placed[name] = loader.place(layout, old.buffer if old else None, buffer)
            await executor.device.check()
            await loader.run()
            if adapter and await adapter.checkpoint.verify():
                await loader.run()  # from the store
        except BaseException:
            executor.owner.free(*made)
            raise
        finally:
            loader.free()
        executor.plans.drop_adapted()
        executor.owner.free(*(self.matrices[name].buffer for name in changed & set(self.matrices)))
        self.matrices, self._placed, self._layouts = matrices, placed, layouts
        for name, layout in layouts.items():
            executor.device.write(matrices[name].buffer, 16 * layout.at, layout.table(()))
        self._use_none()

    def _layout(self, name: str, placed: Sequence[Placed]) -> Layout:
        matrix, _ = self.executor.weights.matrices[name]
        vector, _ = self.executor.weights.vectors.get(name, (None, None))
        at = -(-vector.length // 4) if vector else 0
        parts = MOST_PARTS if self.executor.tuning.ahead_bytes else 0
        return Layout(matrix, at, max(4, self.executor.chunk, parts), tuple(placed))

    def _copy_vector(self, name: str, buffer: Buffer) -> None:
        """The norm and the biases of a matrix that has them: kernels find them in one buffer."""
        if name in self.executor.weights.vectors:
            vector, source = self.executor.weights.vectors[name]
            self.executor.device.copy(source, buffer, -(-vector.length // 4) * 16)


def count(tensor: TensorInfo) -> int:
    """Numbers in a matrix."""
    return tensor.shape[0] * tensor.shape[1]


async def fingerprint(adapter: Adapter) -> str:
    """A hash of an adapter's ranks and factors, and of the beginning of its last matrix."""
    pairs = sorted(adapter.pairs.items())
    said = [(name, pair.a.shape, pair.b.shape, pair.factor) for name, pair in pairs]
    last = pairs[-1][1].b
    data = await last.source.read(last.offset, min(SAMPLE, last.nbytes))
    return hashlib.sha256(repr(said).encode() + data).hexdigest()
