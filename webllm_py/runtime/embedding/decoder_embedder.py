"""Vectors of texts from a decoder that was trained to embed, by its last token."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence

from webllm_py.checkpoint import Checkpoint
from webllm_py.errors import UnsupportedModelError
from webllm_py.gpu.device import Dispatch
from webllm_py.models.activations import padded
from webllm_py.models.pooling import pooling_of
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.prefill import prefill

__all__ = ["DecoderEmbedder", "embedder_of"]


def embedder_of(checkpoint: Checkpoint, executor: Executor) -> DecoderEmbedder | None:
    """What embeds texts with a decoder; None if its checkpoint does not say how it pools.

    Raises:
        UnsupportedModelError: it says so, but in a way that this version does not run.
    """
    found = pooling_of(checkpoint)
    if found is None:
        return None
    pooling, normalized = found
    name, metadata = checkpoint.architecture, checkpoint.metadata
    causal = metadata.get("is_causal", metadata.get(f"{name}.attention.causal", True))
    if pooling != "last" or not causal:
        what = f"pools by {pooling}" if causal else "looks at what follows a token"
        raise UnsupportedModelError(
            f"this {name} embedder {what}; of decoders, those are run that look back only and pool "
            "the last token"
        )
    return DecoderEmbedder(executor, normalized=normalized)


class DecoderEmbedder:
    """See ``runtime.embedding.embeds.Embeds``. Texts are computed one after the other, as prompts
    are: what they begin with alike (an instruction) is computed once.

    Args:
        normalized: whether vectors are brought to length 1.
    """

    def __init__(self, executor: Executor, *, normalized: bool):
        self.executor = executor
        self.normalized = normalized
        self.context_length = executor.context_length

    @property
    def vocab_size(self) -> int:
        """How many token ids there are."""
        return self.executor.model.config.vocab_size

    @property
    def hidden_size(self) -> int:
        """Numbers of a vector."""
        return self.executor.model.config.hidden_size

    async def embed(
        self, texts: Sequence[Sequence[int]], interrupted: Callable[[], bool] = lambda: False
    ) -> list[array[float]] | None:
        """The vector of each text, in order: ``hidden_size`` float32.

        None if ``interrupted`` says so, which is asked after every chunk of a text.

        Raises:
            GPUOutOfMemoryError: no memory for a text's keys and values.
        """
        found = []
        for text in texts:
            vector = await self._vector(text, interrupted)
            if vector is None:
                return None
            found.append(vector)
        return found

    async def _vector(
        self, text: Sequence[int], interrupted: Callable[[], bool]
    ) -> array[float] | None:
        executor, device = self.executor, self.executor.device
        cache = executor.cache
        sequence = cache.begin(text)
        try:
            async for _ in prefill(executor, sequence, text[sequence.read :]):
                if interrupted():
                    return None
            executor.go_on(sequence)
            device.replay(await executor.plans.get(self, "embed", 1, self._last))
            size = 4 * padded(self.hidden_size)
            vector = array("f")
            vector.frombytes(await device.read(executor.buffers.normed, 0, size))
        finally:
            executor.finish(sequence)
        vector = vector[: self.hidden_size]
        length = math.sqrt(math.fsum(x * x for x in vector)) if self.normalized else 1.0
        return array("f", [x / length for x in vector]) if length > 0 else vector

    def _last(self) -> Sequence[Dispatch]:
        graph = self.executor.graph(1)
        graph.pick_row()
        self.executor.model.last_norm(graph)
        return graph.dispatches
