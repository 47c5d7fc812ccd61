"""Looking inside the model at work: logits, hidden states, attention weights, the logit lens."""

from __future__ import annotations

import reprlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any, TypeAlias

from webllm_py.api import adapter_choice
from webllm_py.arrays import floats, shaped
from webllm_py.engine.adapters import AdaptersMixin
from webllm_py.engine.inspected import arrays_of, attending, check_size, longest_inspected
from webllm_py.errors import ContextLengthError, RequestError
from webllm_py.runtime.inspection.logits import all_logits
from webllm_py.tracebacks import callers_own
from webllm_py.units import counted

if TYPE_CHECKING:
    from webllm_py.runtime.inspection.inspector import Found, Wanted

__all__ = ["Hook", "Inspection", "OpenBoxMixin"]

Hook: TypeAlias = Callable[[int, range, Any], Any]
"""Called with a layer, positions and hidden rows (positions, hidden). Returns the rows to go on
with, or None for the given ones, which may have been changed in place."""

FEWER = "ask for fewer layers or positions, or a shorter text"


@dataclass(frozen=True, repr=False)
class Inspection:
    """What ``engine.inspect`` found, float32; None for what it was not asked for.

    Attributes:
        tokens: the text's ids.
        layers: those that ``attentions`` are of.
        hidden_states: (layers + 1, tokens, hidden) as transformers has them: the embeddings, then
            the output of each layer; the last one after the final norm.
        attentions: (len(layers), heads, tokens, tokens): the weights that each position gives to
            each. A row adds up to 1, or to less where heads have sinks.
        logits: (tokens, vocab).
    """

    tokens: list[int]
    layers: list[int]
    hidden_states: Any = None
    attentions: Any = None
    logits: Any = None

    def __repr__(self) -> str:
        arrays = {"hidden_states": self.hidden_states, "attentions": self.attentions}
        arrays["logits"] = self.logits
        shapes = [f", {name} {array.shape}" for name, array in arrays.items() if array is not None]
        return f"Inspection({counted(len(self.tokens), 'token')}{''.join(shapes)})"


class OpenBoxMixin(AdaptersMixin):
    """The part of ``Engine`` that looks inside the model."""

    async def logits(
        self, ids: Sequence[int] | str, *, adapters: Mapping[str, float] | Sequence[str] = ()
    ) -> Any:
        """The logits after every position, float32 of shape (len(ids), vocab).

        Computed in float32 whatever ``kv_dtype`` is. A numpy array where numpy can be imported,
        else a two-dimensional memoryview.

        Args:
            ids: token ids, or a text to encode without special tokens.
            adapters: LoRA adapters, as in a request: names and scales, or names.

        Raises:
            RequestError: an id that the model does not have, or none at all; an adapter that is not
                loaded; or ``interrupt`` or ``unload`` was called meanwhile.
            ContextLengthError: more tokens than the context, or a cache in float32, holds.
        """
        tokens = self.check_ids(ids, "logits")
        vocab = self.loaded.executor.model.config.vocab_size
        choice = adapter_choice({"adapters": adapters})
        async with self._queue.join() as turn:
            data = await self._surviving(
                lambda: all_logits(
                    self.loaded.executor,
                    tokens,
                    interrupted=lambda: turn.interrupted,
                    adapters=self._mix(choice),
                )
            )
        if data is None:
            raise RequestError("interrupted before all logits were there", code="interrupted")
        return shaped(data, len(tokens), vocab)

    async def inspect(
        self,
        ids: Sequence[int] | str,
        *,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        output_logits: bool = False,
        layers: Iterable[int] | None = None,
        hooks: Mapping[int, Hook] | None = None,
        adapters: Mapping[str, float] | Sequence[str] = (),
    ) -> Inspection:
        """Run a text through the model and look inside, in float32 as ``logits`` does.

        Args:
            ids: token ids, or a text to encode without special tokens.
            output_hidden_states, output_attentions, output_logits: what to return.
            layers: the layers to return attentions of, from 0; None for all that have attention.
            hooks: by layer, a function that is called with ``(layer, positions, hidden)`` for the
                layer's output, some positions at a time, in order. It may change the rows in place
                or return others, (len(positions), hidden), which later layers then get.
            adapters: LoRA adapters, as in a request: names and scales, or names.

        Raises:
            RequestError: ids, layers or adapters that the model does not have; more than 1 GiB to
                return; or ``interrupt`` or ``unload`` was called meanwhile.
            DeviceLostError: the device was lost, and hooks are not called a second time, since they
                may have effects of their own; ask again.
            ContextLengthError: more tokens than the context, or a cache in float32, holds.
        """
        from webllm_py.runtime.inspection.inspector import Wanted

        tokens = self.check_ids(ids, "an inspection")
        config = self.loaded.executor.model.config
        seen = self._attending(layers) if output_attentions else []
        called = whole_numbers(hooks or (), config.n_layers, "hooks")
        wanted = Wanted(
            hidden_states=output_hidden_states,
            logits=output_logits,
            attentions=seen,
            hooks={layer: called_with_rows(layer, (hooks or {})[layer]) for layer in called},
        )
        shapes = wanted.shapes(config, len(tokens))
        check_size(shapes.values(), "ids", FEWER)
        found = await self._inspected(tokens, wanted, adapters)
        return Inspection(tokens, seen, **arrays_of(found, shapes))

    def check_ids(self, ids: Sequence[int] | str, what: str) -> list[int]:
        """The token ids of a pass in float32.

        Args:
            ids: token ids, or a text to encode.
            what: what they are needed for, for the error.

        Raises:
            RequestError: an id that the model does not have, or none at all.
            ContextLengthError: too many: a cache in float32 may hold fewer than one in float16.
        """
        model, executor = self.loaded, self.loaded.executor
        config = executor.model.config
        try:
            # index() takes numpy's integers too.
            tokens = model.tokenizer.encode(ids) if isinstance(ids, str) else [*map(index, ids)]
        except TypeError:
            tokens = []
        last = config.vocab_size - 1
        if isinstance(ids, bytes) or not tokens or not 0 <= min(tokens) <= max(tokens) <= last:
            problem = f"ids must be a text or token ids from 0 to {last}, at least one"
            raise RequestError(f"{problem}, not {reprlib.repr(ids)}", param="ids")
        limit = longest_inspected(executor)
        if len(tokens) > limit:
            raise ContextLengthError(
                f"{what} can be had of {counted(limit, 'token')} here, and ids has {len(tokens):,}",
                param="ids",
            )
        return tokens

    def _attending(self, layers: Iterable[int] | None) -> list[int]:
        """The layers to return attentions of; of None all that have attention.

        Raises:
            RequestError: layers that the model does not have, or that have none.
        """
        config = self.loaded.executor.model.config
        seen, attend = whole_numbers(layers, config.n_layers, "layers"), attending(config)
        without = [layer for layer in seen if layer not in attend]
        if layers is not None and without:
            assert config.recurrence
            raise RequestError(
                f"layer {without[0]} is a {config.recurrence.name}: it has a state, no attention",
                param="layers",
            )
        return [layer for layer in seen if layer in attend]

    async def logit_lens(
        self,
        ids: Sequence[int] | str,
        *,
        positions: Iterable[int] | None = None,
        layers: Iterable[int] | None = None,
        adapters: Mapping[str, float] | Sequence[str] = (),
    ) -> Any:
        """The logit lens: logits as if the model ended after fewer layers, from the hidden states
        between layers by the final norm and the output layer. float32 (states, positions, vocab).

        Args:
            ids: token ids, or a text to encode without special tokens.
            positions: of the text, in rising order; None for all.
            layers: numbers of layers to end after, in rising order: 0 is the embeddings, the
                model's own number gives what ``logits`` does; None for every number.
            adapters: LoRA adapters, as in a request: names and scales, or names.

        Raises:
            RequestError, ContextLengthError: as ``inspect``.
        """
        from webllm_py.runtime.inspection.inspector import Wanted

        tokens = self.check_ids(ids, "a logit lens")
        config = self.loaded.executor.model.config
        states = whole_numbers(layers, config.n_layers + 1, "layers")
        rows = whole_numbers(positions, len(tokens), "positions")
        shape = (len(states), len(rows), config.vocab_size)
        check_size([shape], "ids", FEWER)
        found = await self._inspected(tokens, Wanted(lens=states, positions=rows), adapters)
        return shaped(found.lens, *shape)

    async def _inspected(
        self, tokens: Sequence[int], wanted: Wanted, adapters: Mapping[str, float] | Sequence[str]
    ) -> Found:
        from webllm_py.runtime.inspection.inspector import inspect

        choice = adapter_choice({"adapters": adapters})

        async def passed() -> Found | None:
            executor, mix = self.loaded.executor, self._mix(choice)
            return await inspect(executor, tokens, wanted, lambda: turn.interrupted, mix)

        async with self._queue.join() as turn:
            # Not again with hooks, which may have counted what they saw before the loss.
            found = await (passed() if wanted.hooks else self._surviving(passed))
        if found is None:
            raise RequestError("interrupted before all of it was seen", code="interrupted")
        return found


def whole_numbers(given: Iterable[int] | None, end: int, param: str) -> list[int]:
    """Whole numbers from 0 to end - 1, in rising order, once each; of None all of them.

    Raises:
        RequestError: something else is among them; ``param`` names the argument.
    """
    if given is None:
        return [*range(end)]
    try:
        found = sorted({index(number) for number in given})
    except TypeError:
        found = [-1]
    if found and not 0 <= found[0] <= found[-1] < end:
        by_layer = isinstance(given, Mapping)
        what = f"the layers of {param}" if by_layer else param
        shown = reprlib.repr([*given] if by_layer else given)
        problem = f"{what} must be whole numbers from 0 to {end - 1}, not {shown}"
        raise RequestError(problem, param=param)
    return found


def called_with_rows(layer: int, hook: Hook) -> Callable[[int, range, array[float]], array[float]]:
    """Wrap a user's hook in a function of flat rows, as the pass calls it.

    Raises:
        RequestError: it is no function; or, when called, returns anything but its rows.
    """
    if not callable(hook):
        raise RequestError(f"the hook of layer {layer} is no function", param="hooks")
    hook = callers_own(hook)

    def call(layer: int, positions: range, rows: array[float]) -> array[float]:
        data = bytearray(rows.tobytes())
        width = len(rows) // len(positions)
        changed = hook(layer, positions, shaped(data, len(positions), width))
        try:
            found = array("f", bytes(data)) if changed is None else floats(changed)
            returned = f"{len(found)} numbers"
        except (TypeError, ValueError, OverflowError):
            found, returned = array("f"), f"a {type(changed).__name__}"
        if len(found) != len(rows):
            raise RequestError(
                f"the hook of layer {layer} returned {returned} in the place of {len(positions)} "
                f"rows of {width}",
                param="hooks",
            )
        return found

    return call
