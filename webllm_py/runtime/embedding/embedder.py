"""A loaded text encoder on its device: texts packed into passes, a plan for each size of pass."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Iterator, Sequence

from webllm_py.concurrency import run_all
from webllm_py.gpu.device import Buffer, Device, Plan
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.activations import padded
from webllm_py.models.bert import Bert
from webllm_py.models.encoder import (
    ROWS_A_TILE,
    EncoderBuffers,
    EncoderGraph,
    PackedTexts,
    tiles_of,
)
from webllm_py.models.step import StepLayout
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Weights

__all__ = ["Embedder"]

USUAL_ROWS = (16, 128, 512)
LEAST_TILED_ROWS, LEAST_ROWS = 32, 8  # of a GEMM through workgroup memory, and without


class Embedder:
    """Turns token ids into vectors. Knows nothing of text or requests.

    Args:
        context_length: the most tokens of a text.

    Attributes:
        max_rows: most rows of a pass. There is room for a usual one; a longer text makes more.
    """

    def __init__(
        self,
        device: Device,
        owner: BufferOwner,
        model: Bert,
        weights: Weights,
        *,
        context_length: int,
        tuning: Tuning,
    ):
        self.device, self.owner, self.model, self.weights = device, owner, model, weights
        self.tuning, self.context_length = tuning, context_length
        self.max_rows = self.bucket(tuning.chunk)
        self.buffers = self._buffers(self.max_rows)
        self._plans: dict[int, Plan] = {}

    @property
    def vocab_size(self) -> int:
        """How many token ids there are."""
        return self.model.config.vocab_size

    @property
    def hidden_size(self) -> int:
        """Numbers of a vector."""
        return self.model.config.hidden_size

    @property
    def normalized(self) -> bool:
        """Whether vectors are of length 1."""
        return self.model.config.normalize

    async def grow(self, length: int) -> None:
        """Make room for a text of ``length`` tokens.

        Raises:
            DeviceLimitError: the device binds too little for it.
            GPUOutOfMemoryError: no memory for it; there is room as before.
        """
        if length <= self.max_rows:
            return
        rows = self.bucket(length)
        grown = self._buffers(rows)
        try:
            await self.device.check()
        except BaseException:
            self.owner.free(*vars(grown).values())
            raise
        self.drop_plans()
        self.owner.free(*vars(self.buffers).values())
        self.buffers, self.max_rows = grown, rows

    def _buffers(self, rows: int) -> EncoderBuffers:
        made: dict[str, Buffer] = {}
        try:
            for name, size in self.sizes(rows).items():
                made[name] = self.owner.create(name, size)
        except BaseException:
            self.owner.free(*made.values())
            raise
        return EncoderBuffers(**made)

    def sizes(self, rows: int) -> dict[str, int]:
        """Bytes of the buffers of a pass over ``rows`` rows, by their names."""
        config = self.model.config
        hidden, texts = padded(config.hidden_size), rows // ROWS_A_TILE
        inner = max(3 * config.hidden_size, padded(config.intermediate_size))
        return {
            "rows": StepLayout(rows, 0).nbytes,
            "tiles": 16 * texts,
            "texts": 8 * texts,
            "hidden": 4 * rows * hidden,
            "summed": 4 * rows * hidden,
            "inner": 4 * rows * inner,
            "pooled": 4 * texts * hidden,
        }

    async def prepare(self, asked: Callable[[], None] = lambda: None) -> None:
        """Compile the kernels and record the plans of usual texts.

        Args:
            asked: called once the kernels are being compiled.
        """
        usual = {self.bucket(min(rows, self.max_rows)) for rows in USUAL_ROWS}
        await run_all(*(self._plan(rows) for rows in usual), begun=asked)

    async def embed(
        self, texts: Sequence[Sequence[int]], interrupted: Callable[[], bool] = lambda: False
    ) -> list[array[float]] | None:
        """The vector of each text, in order: ``hidden_size`` float32.

        While the GPU computes some, the next are packed. None if ``interrupted`` says so, which is
        asked before every pass.

        Args:
            texts: token ids, special ones included; at least one, at most ``context_length``.

        Raises:
            DeviceLimitError, GPUOutOfMemoryError: as ``grow``.
        """
        found: list[array[float]] = []
        reading: tuple[int, Awaitable[bytes]] | None = None
        await self.grow(max(map(len, texts)))
        try:
            for batch in self.batches(texts):
                if interrupted():
                    return None
                plan = await self._plan(self.rows_for(batch))
                following = len(batch), self._run(batch, plan)
                if reading:
                    found += self._vectors(reading[0], await reading[1])
                reading = following
            if reading:
                last, reading = reading, None
                found += self._vectors(last[0], await last[1])
            return found
        finally:
            if reading:
                await reading[1]  # a read-back that was asked for must be awaited

    def batches(self, texts: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
        """The texts in order, as many together as one pass takes."""
        batch: list[Sequence[int]] = []
        rows = tiles = 0
        for text in texts:
            rows, tiles = rows + len(text), tiles + tiles_of(len(text))
            if batch and max(rows, ROWS_A_TILE * tiles) > self.max_rows:
                yield batch
                batch, rows, tiles = [], len(text), tiles_of(len(text))
            batch.append(text)
        if batch:
            yield batch

    def rows_for(self, batch: Sequence[Sequence[int]]) -> int:
        """Rows of the pass over some texts: for their tokens, and for their tiles of attention."""
        tiles = sum(tiles_of(len(text)) for text in batch)
        return self.bucket(max(sum(map(len, batch)), ROWS_A_TILE * tiles))

    def bucket(self, rows: int) -> int:
        """``rows`` rounded up to one of few sizes, so that plans are reused."""
        least = LEAST_TILED_ROWS if self.tuning.tiled else LEAST_ROWS
        unit = max(least, 1 << max(0, (rows - 1).bit_length() - 3))
        return -(-rows // unit) * unit

    def _run(self, batch: Sequence[Sequence[int]], plan: Plan) -> Awaitable[bytes]:
        """Queue a pass and the read-back of its vectors."""
        device, buffers, config = self.device, self.buffers, self.model.config
        packed, most = PackedTexts(batch, config), self.max_rows // ROWS_A_TILE
        device.write(buffers.rows, 0, packed.rows)
        device.write(buffers.tiles, 0, packed.tiles(most))
        device.write(buffers.texts, 0, packed.pooled(most))
        device.replay(plan)
        return device.read(buffers.pooled, 0, 4 * len(batch) * padded(config.hidden_size))

    def _vectors(self, count: int, data: bytes) -> list[array[float]]:
        values = array("f")
        values.frombytes(data)
        hidden, stride = self.model.config.hidden_size, len(values) // count
        return [values[start : start + hidden] for start in range(0, len(values), stride)]

    async def _plan(self, rows: int) -> Plan:
        """The plan of a pass over ``rows`` rows, recorded once."""
        if rows not in self._plans:
            graph = EncoderGraph(
                rows,
                config=self.model.config,
                weights=self.weights,
                buffers=self.buffers,
                device=self.device,
                tuning=self.tuning,
            )
            self.model.forward(graph)
            await self.device.compile(dispatch.kernel for dispatch in graph.dispatches)
            self._plans[rows] = await self.device.record("embed", graph.dispatches)
        return self._plans[rows]

    def drop_plans(self) -> None:
        """Forget what was recorded."""
        while self._plans:
            self.device.drop(self._plans.popitem()[1])
