"""Sequences that are decoded together: their logits, their sampler, their plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from webllm_py.gpu.device import Buffer, Dispatch, Plan
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.activations import padded
from webllm_py.models.step import SLOTS
from webllm_py.runtime.plan_cache import plan_name
from webllm_py.runtime.sampling.sampler import RING, Sampler

if TYPE_CHECKING:
    from webllm_py.runtime.executor import Executor
    from webllm_py.runtime.sampling.automaton import AutomatonTables
    from webllm_py.runtime.sampling.logprobs import Logprobs

__all__ = ["Decoder", "Verifier"]


class Decoder:
    """Decodes up to ``slots`` sequences, each of which is a row of a step.

    Args:
        logits: a buffer for the logits; None for a new one.

    Attributes:
        logprobs: finds the log-probabilities of drawn tokens; None where nobody asked for them.
        automaton: the states of grammars on the GPU, which draws follow; None where masks come from
            the host.
        longest: where spellings of more tokens begin, steps that follow it end.
        adapted: whether some of the sequences have adapters.
        verifier: verifies guesses; None until there are some.
    """

    def __init__(
        self, executor: Executor, owner: BufferOwner, slots: int = 1, logits: Buffer | None = None
    ):
        self.executor = executor
        self.slots = slots
        self.logprobs: Logprobs | None = None
        self.automaton: AutomatonTables | None = None
        self.longest = 0
        self.adapted = False
        self.verifier: Verifier | None = None
        vocab = executor.model.config.vocab_size
        self.sampler = Sampler(executor.device, owner, vocab, executor.tuning, slots)
        rows = executor.bucket(slots)
        self.drawing = self.sampler.drawing(owner, rows, self.scratch, logits)

    def find_logprobs(self, owner: BufferOwner, top: int, *, processed: bool) -> None:
        """From now on find the log-probabilities of drawn tokens.

        Args:
            top: with how many alternatives.
            processed: whether logits processors change the logits before tokens are drawn.
        """
        # Not before: a page's snapshot is small.
        from webllm_py.runtime.sampling.logprobs import Logprobs

        executor = self.executor
        self.logprobs = Logprobs(
            executor.device,
            owner,
            self.sampler.vocab_size,
            executor.tuning,
            ring=RING,
            top=top,
            rows=executor.bucket(self.slots),
            slots=self.slots,
        )
        if processed:
            self.logprobs.keep_logits()

    def forget_logprobs(self) -> None:
        """Find log-probabilities no more."""
        if self.logprobs:
            self.executor.plans.drop(self.logprobs)
            self.logprobs = None

    async def verify_guesses(self) -> Verifier:
        """What verifies guesses, from now on until the decoder forgets it.

        Raises:
            GPUOutOfMemoryError: there is no room for it.
        """
        if self.verifier is None:
            owner = BufferOwner(self.executor.device)
            try:
                verifier = Verifier(self, owner, min(SLOTS, self.executor.chunk))
                await self.executor.device.check()
            except BaseException:
                owner.free_all()
                raise
            self.verifier = verifier
        return self.verifier

    def forget_verifier(self) -> None:
        """Free what verifies guesses."""
        if self.verifier:
            self.executor.plans.drop(self.verifier)
            self.verifier.owner.free_all()
            self.verifier = None

    @property
    def scratch(self) -> tuple[Buffer, ...]:
        """Activations that the sampler may overwrite, once the logits are there.

        None where rows are padded: the sampler may leave infinities in the padding, which kernels
        multiply with zeros, and infinity times zero is NaN.
        """
        config, buffers = self.executor.model.config, self.executor.buffers
        rows = [config.n_heads * config.head_dim, config.intermediate_size]
        if config.recurrence:
            rows.append(config.recurrence.width)
        if any(padded(row) != row for row in rows):
            return ()
        return buffers.normed, buffers.gated

    @contextmanager
    def following(self, automaton: AutomatonTables, longest: int) -> Iterator[None]:
        """While this lasts, draws follow an automaton; see the attributes."""
        self.automaton, self.longest = automaton, longest
        try:
            yield
        finally:
            self.automaton = None

    @property
    def _owner(self) -> object:
        """What plans are recorded for."""
        return self.logprobs or self

    def _named(self, name: str) -> str:
        """The name of a plan that may follow an automaton."""
        return f"{name} behind {self.longest}" if self.automaton else name

    async def plan(self, name: str, rows: int = 1) -> Plan:
        """A recorded plan.

        Args:
            name: "head" (the logits of the prompt's last row), "first" (a draw for each of ``rows``
                answers from these), "sample" (a draw from the logits of each row) or "stand" (the
                mask of the state that the automaton is in).
        """
        rows = self.executor.bucket(rows)
        make: Callable[[], Sequence[Dispatch]] = partial(getattr(self, f"_{name}"), rows)
        named = plan_name(name, self.adapted and name == "head")
        return await self.executor.plans.get(self._owner, self._named(named), rows, make)

    async def step(self, rows: int, keys: int) -> Plan:
        """The plan of a decode step: a forward pass, and a draw from each row's logits.

        Args:
            keys: the most keys that a row attends to.
        """
        rows = self.executor.bucket(rows)
        make = partial(self._step, rows, self._fused(rows, keys))
        name = plan_name("fused step" if self._fused(rows, keys) else "step", self.adapted)
        return await self.executor.plans.get(self._owner, self._named(name), rows, make)

    async def logits(self, rows: int, keys: int) -> Plan:
        """The plan of a decode step without its draws: a forward pass up to the logits."""
        rows = self.executor.bucket(rows)
        make = partial(self._logits, rows, self._fused(rows, keys))
        name = plan_name("fused logits" if self._fused(rows, keys) else "logits", self.adapted)
        return await self.executor.plans.get(self, name, rows, make)

    def _fused(self, rows: int, keys: int) -> bool:
        return rows == 1 and keys <= self.executor.fused_keys

    def _head(self, rows: int) -> Sequence[Dispatch]:
        graph = self.executor.graph(rows, logits=self.drawing.logits, adapted=self.adapted)
        graph.pick_row()
        self.executor.model.head(graph)
        return graph.dispatches

    def _first(self, rows: int) -> Sequence[Dispatch]:
        return self._draw(rows, shared=rows > 1)

    def _sample(self, rows: int) -> Sequence[Dispatch]:
        return self._draw(rows)

    def _stand(self, rows: int) -> Sequence[Dispatch]:
        return self._follow(rows, stand=True)

    def _draw(self, rows: int, *, shared: bool = False) -> Sequence[Dispatch]:
        step, drawing, behind = self.executor.buffers.step, self.drawing, list[Dispatch]()
        if self.logprobs:
            behind = self.logprobs.dispatches(drawing.logits, step, rows, shared=shared)
        if self.automaton:
            behind += self._follow(rows)  # last: a step that ends there has no rows any more
        masks = self.automaton.masks if self.automaton else None
        return [*self.sampler.draw(drawing, step, rows, masks=masks, shared=shared), *behind]

    def _follow(self, rows: int, *, stand: bool = False) -> Sequence[Dispatch]:
        assert self.automaton
        step = self.executor.buffers.step
        return [self.automaton.follow(self.sampler, step, rows, self.longest, stand=stand)]

    def _logits(self, rows: int, fused: bool) -> Sequence[Dispatch]:
        return self.executor.forward(
            rows, logits=self.drawing.logits, fused=fused, adapted=self.adapted
        )

    def _step(self, rows: int, fused: bool) -> Sequence[Dispatch]:
        return [*self._logits(rows, fused), *self._sample(rows)]


class Verifier:
    """Verifies guesses of a decoder's only sequence, several in one step (speculative decoding).

    Attributes:
        owner: of its buffers.
        rows: the rows of a step: the newest token's, and one for each guess.
        accepted: see ``Sampler.verify``.
    """

    def __init__(self, decoder: Decoder, owner: BufferOwner, rows: int):
        self.decoder = decoder
        self.owner = owner
        self.rows = rows
        self.drawing = decoder.sampler.drawing(owner, rows, decoder.scratch)
        self.drawn = owner.create("drawn after guesses", 4 * rows)
        self.accepted = owner.create("accepted tokens", 4 * (rows + 1))

    async def plan(self) -> Plan:
        """The step's plan."""
        name = plan_name("verify", self.decoder.adapted)
        return await self.decoder.executor.plans.get(self, name, self.rows, self.dispatches)

    def dispatches(self) -> list[Dispatch]:
        """The step."""
        executor = self.decoder.executor
        return [
            *executor.forward(self.rows, logits=self.drawing.logits, adapted=self.decoder.adapted),
            *self.decoder.sampler.verify(
                self.drawing, executor.buffers.step, self.rows, self.drawn, self.accepted
            ),
        ]
