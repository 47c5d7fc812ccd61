"""Steering: vectors that are added to the outputs of layers."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from math import isfinite
from typing import Any, TypeAlias

from webllm_py.arrays import floats
from webllm_py.concurrency import uninterrupted
from webllm_py.engine.open_box import whole_numbers
from webllm_py.engine.recovery import RecoveryMixin
from webllm_py.errors import DeviceLostError, EngineClosedError, RequestError

__all__ = ["SteeringMixin"]

Steering: TypeAlias = tuple[Mapping[int, "array[float]"], ...]


class SteeringMixin(RecoveryMixin):
    """The part of ``Engine`` that steers."""

    _steering: Steering = ()

    @asynccontextmanager
    async def steer(self, vectors: Mapping[int, Any]) -> AsyncIterator[None]:
        """While this lasts, add vectors to the outputs of layers, at every position of every
        request, and of ``logits`` and ``inspect`` too::

            async with engine.steer({4: 3 * direction}):
                reply = await engine.chat.completions.create(messages=messages)

        Where it is nested, all vectors are added. Beginning and ending wait for requests under way,
        and clear the prefix cache, whose keys and values depend on the vectors.

        Args:
            vectors: by layer, from 0: a sequence or array of as many numbers as the hidden size.

        Raises:
            RequestError: a layer that the model does not have, or a vector of another length.
        """
        config = self.loaded.executor.model.config
        layers = whole_numbers(vectors, config.n_layers, "vectors")
        added = {layer: row_of(vectors[layer], config.hidden_size) for layer in layers}
        try:
            await self._steer(lambda others: (*others, added))
            yield
        finally:
            # `is`: another block may have equal vectors. It goes on where this task is cancelled.
            rest = self._steer(lambda all: tuple(one for one in all if one is not added))
            await asyncio.shield(asyncio.ensure_future(rest))

    async def _restore(self) -> None:
        await super()._restore()
        if self._steering:
            await self._add(self._steering)

    async def _steer(self, change: Callable[[Steering], Steering]) -> None:
        """Change the vectors, once it is this call's turn."""
        async with self._queue.join():
            self._steering = change(self._steering)
            await self._surviving(lambda: self._add(self._steering))

    async def _add(self, steering: Steering) -> None:
        from webllm_py.runtime.inspection.steering import steer

        await steer(self.loaded.executor, added_up(steering))

    @asynccontextmanager
    async def steered(self, vectors: Mapping[int, array[float]] | None) -> AsyncIterator[None]:
        """Add these vectors too, for a request that has the engine alone; nothing for none."""
        if not vectors:
            yield
            return
        before = self._steering
        self._steering = (*before, vectors)  # a model that is loaded again gets them as well
        try:
            await self._surviving(lambda: self._add(self._steering))
            yield
        finally:
            self._steering = before
            # A model that is gone needs no change, and one that is loaded again gets ``before``.
            with suppress(EngineClosedError, DeviceLostError):
                await uninterrupted(self._add(before))


def added_up(steering: Iterable[Mapping[int, array[float]]]) -> dict[int, array[float]]:
    """The sum of the vectors of each layer."""
    total: dict[int, array[float]] = {}
    for vectors in steering:
        for layer, vector in vectors.items():
            before = total.get(layer, array("f", bytes(4 * len(vector))))
            total[layer] = array("f", (a + b for a, b in zip(before, vector, strict=True)))
    return total


def row_of(values: Any, length: int) -> array[float]:
    """A steering vector.

    Raises:
        RequestError: it has another length, is none, or has numbers that are not finite.
    """
    try:
        found = floats(values)
    except (TypeError, ValueError, OverflowError):
        found = array("f")
    if len(found) != length or not all(map(isfinite, found)):
        raise RequestError(
            f"a steering vector must be {length} finite numbers, the model's hidden size",
            param="vectors",
        )
    return found
