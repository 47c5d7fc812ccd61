"""What an engine lets one see and change of a model at work: hidden states, attention, the logit
lens, steering."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, TypeAlias

from webllm_py.arrays import floats, shaped
from webllm_py.errors import DeviceLostError, EngineClosedError, RequestError
from webllm_py.together import uninterrupted

if TYPE_CHECKING:
    from webllm_py.engine.turns import Line
    from webllm_py.loading import LoadedModel
    from webllm_py.runtime.inspection import Found, Wanted

__all__ = ["Hook", "Inspection", "OpenBox"]

Hook: TypeAlias = Callable[[int, range, Any], Any]
"""Layer, positions, hidden rows (positions, hidden) -> rows to go on with, or None for these, which
may have been changed in place."""

Steering: TypeAlias = tuple[Mapping[int, "array[float]"], ...]
# Of what one call returns.
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Inspection:
    """What ``engine.inspect`` found, float32; None for what it was not asked for.

    Attributes:
        tokens: the text's ids.
        layers: whose attentions these are.
        hidden_states: (layers + 1, tokens, hidden) as transformers has them: the embeddings, then
            what leaves each layer; the last one behind the final norm.
        attentions: (len(layers), heads, tokens, tokens): what a position gives to each. A row adds
            up to 1, or to less where heads have sinks.
        logits: (tokens, vocab).
    """

    tokens: list[int]
    layers: list[int]
    hidden_states: Any
    attentions: Any
    logits: Any


class OpenBox:
    """The part of ``Engine`` that opens the model up."""

    if TYPE_CHECKING:
        _line: Line

        @property
        def loaded(self) -> LoadedModel: ...
        def check_ids(self, ids: Sequence[int] | str, what: str) -> list[int]: ...
        async def _surviving(self, work: Callable[[], Awaitable[Any]]) -> Any: ...

    _steering: Steering = ()

    async def inspect(
        self,
        ids: Sequence[int] | str,
        *,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        output_logits: bool = False,
        layers: Iterable[int] | None = None,
        hooks: Mapping[int, Hook] | None = None,
    ) -> Inspection:
        """Run a text through the model and look inside, in float32 as ``logits`` does.

        Args:
            ids: token ids, or a text to encode without special tokens.
            layers: whose attentions are wanted, from 0; None for all that have some.
            hooks: by layer, a function that is called with ``(layer, positions, hidden)`` when rows
                leave it, some positions at a time in order, and may change them in place or return
                others, (len(positions), hidden): what comes after sees these.

        Raises:
            RequestError: ids or layers that the model does not have; more than 1 GiB to return; or
                ``interrupt`` or ``unload`` was called meanwhile.
            DeviceLostError: that happened with hooks, which are not called twice; ask again.
            ContextLengthError: more than the context holds, or than a cache in float32 does.
        """
        from webllm_py.runtime.inspection import Wanted

        tokens = self.check_ids(ids, "an inspection")
        config = self.loaded.executor.model.config
        seen = self._attending(layers) if output_attentions else []
        shapes = {
            "hidden_states": (config.n_layers + 1, len(tokens), config.hidden_size),
            "attentions": (len(seen), config.n_heads, len(tokens), len(tokens)),
            "logits": (len(tokens), config.vocab_size),
        }
        asked = {
            "hidden_states": output_hidden_states,
            "attentions": bool(seen),
            "logits": output_logits,
        }
        check_size([shape for name, shape in shapes.items() if asked[name]])
        called = whole_numbers(hooks or (), config.n_layers, "hooks")
        found = await self._inspected(
            tokens,
            Wanted(
                hidden_states=output_hidden_states,
                logits=output_logits,
                attentions=seen,
                hooks={layer: called_with_rows((hooks or {})[layer]) for layer in called},
            ),
        )
        arrays = {
            name: shaped(getattr(found, name), *shape) if asked[name] else None
            for name, shape in shapes.items()
        }
        return Inspection(tokens, seen, **arrays)

    def _attending(self, layers: Iterable[int] | None) -> list[int]:
        """Layers whose attentions are wanted; None for all that have some.

        Raises:
            RequestError: layers that the model does not have, or that have none.
        """
        config = self.loaded.executor.model.config
        seen = whole_numbers(layers, config.n_layers, "layers")
        without = [layer for layer in seen if config.kind(layer).delta]
        if layers is not None and without:
            raise RequestError(
                f"layer {without[0]} is a gated delta net, which has a state and no attention",
                param="layers",
            )
        return [layer for layer in seen if layer not in without]

    async def logit_lens(
        self,
        ids: Sequence[int] | str,
        *,
        positions: Iterable[int] | None = None,
        layers: Iterable[int] | None = None,
    ) -> Any:
        """What the model would say next if it ended early: its final norm and output layer, of the
        hidden states between layers. float32 (states, positions, vocab).

        Args:
            ids: token ids, or a text to encode without special tokens.
            positions: of the text, in rising order; None for all.
            layers: after how many layers, in rising order: 0 is the embeddings, all of them give
                what ``logits`` does; None for every number of them.

        Raises:
            RequestError, ContextLengthError: as ``inspect``.
        """
        from webllm_py.runtime.inspection import Wanted

        tokens = self.check_ids(ids, "a logit lens")
        config = self.loaded.executor.model.config
        states = whole_numbers(layers, config.n_layers + 1, "layers")
        rows = whole_numbers(positions, len(tokens), "positions")
        shape = (len(states), len(rows), config.vocab_size)
        check_size([shape])
        found = await self._inspected(tokens, Wanted(lens=states, positions=rows))
        return shaped(found.lens, *shape)

    async def _inspected(self, tokens: Sequence[int], wanted: Wanted) -> Found:
        from webllm_py.runtime.inspection import inspect

        async def passed() -> Found | None:
            return await inspect(self.loaded.executor, tokens, wanted, lambda: place.interrupted)

        async with self._line.join() as place:
            # Hooks have seen, and may have counted, what came before the device was lost.
            found = await (passed() if wanted.hooks else self._surviving(passed))
        if found is None:
            raise RequestError("interrupted before all of it was seen", code="interrupted")
        return found

    @asynccontextmanager
    async def steer(self, vectors: Mapping[int, Any]) -> AsyncIterator[None]:
        """While this lasts, add a vector to what leaves a layer, at every position of every
        request, of ``logits`` and ``inspect`` too::

            async with engine.steer({4: 3 * direction}):
                reply = await engine.chat.completions.create(messages=messages)

        Inside another one, both are added. Beginning and ending it waits for requests under way and
        forgets the prefix cache, whose keys and values came about otherwise.

        Args:
            vectors: by layer, from 0: hidden-size numbers each, in whatever holds them.

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
            # `is`: another one may hold equal vectors. Goes on when who waits for it is cancelled.
            rest = self._steer(lambda all: tuple(one for one in all if one is not added))
            await asyncio.shield(asyncio.ensure_future(rest))

    async def _steer_again(self) -> None:
        """Of a model that was loaded again."""
        if self._steering:
            await self._add(self._steering)

    async def _steer(self, change: Callable[[Steering], Steering]) -> None:
        """To what ``change`` makes of those that there are when its turn comes."""
        async with self._line.join():
            self._steering = change(self._steering)
            await self._surviving(lambda: self._add(self._steering))

    async def _add(self, steering: Steering) -> None:
        from webllm_py.runtime.steering import steer

        await steer(self.loaded.executor, added_up(steering))

    @asynccontextmanager
    async def steered(self, vectors: Mapping[int, array[float]] | None) -> AsyncIterator[None]:
        """Add these as well, in a turn that nobody shares; None, or no vectors, changes nothing."""
        if not vectors:
            yield
            return
        before = self._steering
        self._steering = (*before, vectors)  # which a model that is loaded again gets as well
        try:
            await self._surviving(lambda: self._add(self._steering))
            yield
        finally:
            self._steering = before
            # A model that is gone has none; one that is loaded again gets those of then.
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


def whole_numbers(given: Iterable[int] | None, end: int, param: str) -> list[int]:
    """Numbers from 0 to end - 1, in rising order, once each; None for all of them.

    Raises:
        RequestError: others.
    """
    if given is None:
        return [*range(end)]
    try:
        found = sorted({index(number) for number in given})
    except TypeError:
        found = [-1]
    if found and not 0 <= found[0] <= found[-1] < end:
        raise RequestError(f"{param} must be whole numbers from 0 to {end - 1}", param=param)
    return found


def check_size(shapes: Iterable[tuple[int, ...]]) -> None:
    """Raise RequestError for more than can be returned."""
    total = 0
    for shape in shapes:
        elements = 1
        for length in shape:
            elements *= length
        total += 4 * elements
    if total > MOST_BYTES:
        raise RequestError(
            f"that would return {total >> 20:,} MiB, and {MOST_BYTES >> 20:,} are the most; ask "
            "for fewer layers or positions, or a shorter text",
            param="ids",
        )


def row_of(values: Any, length: int) -> array[float]:
    """A steering vector.

    Raises:
        RequestError: it has another length, or is none.
    """
    try:
        found = floats(values)
    except (TypeError, ValueError):
        found = array("f")
    if len(found) != length:
        raise RequestError(
            f"a steering vector must be {length} numbers, the model's hidden size", param="vectors"
        )
    return found


def called_with_rows(hook: Hook) -> Callable[[int, range, array[float]], array[float]]:
    """A user's hook as the pass calls it."""

    def call(layer: int, positions: range, rows: array[float]) -> array[float]:
        data = bytearray(rows.tobytes())
        width = len(rows) // len(positions)
        changed = hook(layer, positions, shaped(data, len(positions), width))
        found = array("f", bytes(data)) if changed is None else floats(changed)
        if len(found) != len(rows):
            raise RequestError(
                f"the hook of layer {layer} returned {len(found)} numbers in the place of "
                f"{len(positions)} rows of {width}",
                param="hooks",
            )
        return found

    return call
