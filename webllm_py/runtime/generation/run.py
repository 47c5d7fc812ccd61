"""The decode steps of answers that go on together, with several of them in flight.

The GPU draws a token and feeds it to its own next step, so the host need not see it in between:
steps are submitted ahead, and their tokens read back while later steps run.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Container, Sequence
from typing import TYPE_CHECKING

from webllm_py.gpu.device import Plan
from webllm_py.models.step import Row
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.generation.in_flight import InFlight, Pace, check_drawn
from webllm_py.runtime.generation.prefill import prefill
from webllm_py.runtime.generation.speculation import Speculation
from webllm_py.runtime.kv.pages import Sequence as CachedSequence
from webllm_py.runtime.sampling.automaton import STALLED

if TYPE_CHECKING:
    from webllm_py.runtime.sampling.logprobs import TokenLogprob

__all__ = ["Run"]

# Tokens in flight before the first one is read, or more that take no longer than so many seconds;
# and where speculation may begin soon, which has to wait for what is in flight: in a text's first
# tokens it may.
FEW_AHEAD = 4
FEW_SECONDS = 0.006
FIRST_TOKENS = 12


class Run:
    """The steps of one generation.

    Attributes:
        active: the answers that still need tokens; an answer's number is its slot.
        base: positions before the first of these tokens; see ``begin_at``.
        limit: how many tokens may be drawn before there is no position left.
        wanted: asked between read-backs whether the answers are to be handed over to a batch.
        newest: the last token that was read for each answer; it may have no keys and values yet.
        logprobs: of each answer's tokens, where the decoder finds them.
        stalled: whether the steps that were just read ended where the GPU did not know a state of
            an answer's grammar.
    """

    def __init__(
        self,
        decoder: Decoder,
        sequences: list[CachedSequence],
        prompt: list[int],
        max_tokens: int,
        ended: Container[int],
        most_ahead: int,
    ):
        self.decoder = decoder
        self.executor = decoder.executor
        self.device = decoder.executor.device
        self.sequences = sequences
        self.prompt = prompt
        self.max_tokens = max_tokens
        self.ended = ended
        self.most_ahead = most_ahead
        self.active = list(range(decoder.slots))
        self.newest: dict[int, int] = {}
        self.pace = self.executor.paces.setdefault(decoder.slots, Pace())
        self.in_flight = InFlight(decoder, self.pace)
        self.begin_at(len(prompt))
        self.logprobs: list[list[TokenLogprob]] = [[] for _ in self.active]
        self.speculation = Speculation(self)
        self.stalled = False
        self.wanted: Callable[[], bool] = lambda: False

    @property
    def issued(self) -> int:
        """How many tokens were drawn, or submitted to be drawn, for each answer."""
        return self.in_flight.drawn

    @issued.setter
    def issued(self, count: int) -> None:
        self.in_flight.drawn = count

    def begin_at(self, base: int) -> None:
        """Count the positions of drawn tokens from ``base`` on."""
        self.base = base
        self.limit = min(self.max_tokens, self.executor.context_length - base + 1)

    async def ahead(self, *, guess: bool) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers and their tokens, with steps in flight while the host reads earlier ones; until
        ``max_tokens``, or until ``wanted``."""
        if not self.issued:
            self.device.replay(await self.decoder.plan("head"))
            self.in_flight.replay(await self.decoder.plan("first", len(self.active)))
        guess &= self.decoder.slots == 1 and not self.decoder.logprobs
        arrived = 0.0
        while self.active and (self.in_flight.waiting or self.issued < self.max_tokens):
            # Whatever is submitted before the first token is read delays it.
            few = not self.newest or (guess and self.guessing_soon)
            await self.fill(self.few if few else self.most_ahead)
            if not self.in_flight.waiting:
                await self.make_room()
                continue
            count, read = await self.next_read()
            before, arrived = arrived, time.perf_counter()
            if before:
                self.pace.took((arrived - before) / count)
            for index, tokens in read:
                yield index, tokens
            if guess and await self.speculation.promising(read[0][1]):
                async for tokens in self.speculation.tokens():
                    yield 0, tokens
                arrived = 0.0
            wanted = self.wanted()
            if wanted or any(index in self.ended for index in self.active):
                async for index, tokens in self.regroup():
                    yield index, tokens
                arrived = 0.0
            if wanted:
                return

    @property
    def few(self) -> int:
        """Steps that may be in flight where others should not have to wait for them."""
        return max(FEW_AHEAD, int(FEW_SECONDS / self.pace.seconds))

    @property
    def guessing_soon(self) -> bool:
        """Whether speculation may begin with one of the next tokens."""
        return self.issued < FIRST_TOKENS or self.speculation.near

    async def fill(self, most: int) -> None:
        """Submit steps until as many are in flight as keep the GPU busy, at most ``most``."""
        await self.in_flight.fill(min(most, self.most_ahead), self.limit, self._step)

    async def _step(self, count: int) -> tuple[int, Plan]:
        """The plan of the next steps, and how many of ``count`` have it."""
        # Steps that are submitted together have the same plan, fused or not.
        if (left := self.executor.fused_keys - self.keys + 1) > 0:
            count = min(count, left)
        await self.reserve(count)
        return count, await self.decoder.step(len(self.active), self.keys + count - 1)

    @property
    def full(self) -> bool:
        """Whether there is no position left for the newest token."""
        return self.limit <= self.issued < self.max_tokens

    async def make_room(self) -> None:
        """Drop the oldest tokens of answers that are full. Nothing may be in flight."""
        dropped = 0
        for index in self.active:
            dropped = await self.executor.cache.make_room(self.sequences[index], index)
        self.begin_at(self.base - dropped)
        self.executor.write_rows([self.row(index) for index in self.active])

    @property
    def keys(self) -> int:
        """How many keys the row of the newest token attends to."""
        return self.base + self.issued

    async def draw(self) -> None:
        """Draw a token of each answer from the logits. Nothing may be in flight."""
        # The first tokens of all answers are drawn from one row of logits.
        draw = "sample" if self.newest else "first"
        self.in_flight.replay(await self.decoder.plan(draw, len(self.active)))

    async def draw_one(self) -> None:
        """``draw``, and submit the next forward pass."""
        await self.draw()
        if self.issued < self.limit:
            self.device.replay_in_parts(await self.forward_pass())

    async def read_one(self) -> list[tuple[int, list[int]]]:
        """The tokens that ``draw_one`` drew."""
        _, read = await self.next_read()
        if self.full:
            await self.make_room()
            self.device.replay(await self.forward_pass())
        return read

    async def forward_pass(self) -> Plan:
        """The plan of the newest tokens' logits, after making room for their keys and values."""
        await self.reserve(0)
        return await self.decoder.logits(len(self.active), self.keys)

    async def reserve(self, count: int) -> None:
        """Make room in the cache for ``count`` more steps."""
        # The drawn token itself takes a position only in the step after.
        length = min(self.base + self.issued + count, self.executor.context_length)
        for index in self.active:
            await self.executor.cache.reserve(self.sequences[index], length, index)

    async def next_read(self) -> tuple[int, list[tuple[int, list[int]]]]:
        """Wait for the oldest steps in flight: how many they are, and each answer's tokens."""
        steps, words, logprobs = await self.in_flight.next_read()
        whole = before_a_stall(words, self.decoder.slots, self.active)
        self.stalled = whole < steps
        if self.stalled:
            del words[whole * self.decoder.slots :]
            self.in_flight.drop(steps - whole)
        tokens = [(i, list(words[i :: self.decoder.slots])) for i in self.active]
        for index, drawn in tokens:
            if index not in self.ended:
                check_drawn(drawn, self.sequences)
                self.keep(index, drawn)
            if self.decoder.logprobs:
                found = self.decoder.logprobs.of_slot(logprobs, index, drawn)
                self.logprobs[index] += found
        return steps, tokens

    def keep(self, index: int, drawn: list[int]) -> None:
        """Note an answer's tokens.

        A token has keys and values once the step after it ran: the newest one's may be missing.
        """
        if not drawn:
            return
        known = [*([self.newest[index]] if index in self.newest else []), *drawn]
        self.sequences[index].tokens += known[:-1]
        self.newest[index] = known[-1]

    async def put(self, tokens: Sequence[int], *, pending: bool = False) -> None:
        """Append tokens to the only answer that need not be drawn, and compute the logits after
        them.

        Args:
            pending: whether the forward pass of the newest token has yet to be computed; else it
                is in flight.
        """
        sequence = self.sequences[0]
        newest = [self.newest.pop(0)] if self.newest else []
        if not pending:
            sequence.tokens += newest
            newest = []
        sampler = self.decoder.sampler
        drawn = [*sequence.tokens[self.base :], *newest, *tokens]
        sampler.recount({t: (drawn.count(t), t in self.prompt) for t in tokens})
        async for _ in prefill(self.executor, sequence, [*newest, *tokens]):
            pass
        self.issued += len(tokens)
        self.begin_at(len(sequence.tokens) - self.issued)
        self.executor.go_on(sequence, drawn=self.issued)
        self.device.replay(await self.decoder.plan("head"))

    async def regroup(self) -> AsyncIterator[tuple[int, list[int]]]:
        """Go on without the answers that have ended; the tokens of the others in flight."""
        self.active = [index for index in self.active if index not in self.ended]
        while self.active and self.in_flight.waiting:
            _, read = await self.next_read()
            for index, tokens in read:
                if index not in self.ended:
                    yield index, tokens
        self.active = [index for index in self.active if index not in self.ended]
        self.executor.write_rows([self.row(index) for index in self.active])

    def row(self, index: int) -> Row:
        """The row of an answer's newest token. Nothing may be in flight."""
        position = self.base + self.issued - 1
        return Row(self.newest[index], position, index, self.issued)

    async def go_on_behind(self, said: Sequence[int], *, hidden: bool) -> None:
        """Begin with an only answer that has tokens already: the next step computes the newest one.
        Nothing may be in flight.

        Args:
            hidden: compute the newest token's hidden state now, for a draw without a step.
        """
        (sequence,) = self.sequences
        cache = self.executor.cache
        wrong = sequence.read - (len(self.prompt) + len(said) - 1)
        if wrong > 0:
            del sequence.tokens[-wrong:]
        await cache.make_room(sequence)
        position = len(sequence.tokens)
        await cache.reserve(sequence, position + 1)
        self.issued = len(said)
        self.begin_at(position + 1 - len(said))
        self.newest[0] = said[-1]
        self.executor.write_rows([self.row(0)])
        if hidden:
            self.device.replay(await self.executor.forward_plan(1, adapted=self.decoder.adapted))

    async def close(self) -> None:
        """Wait for what is in flight, and ignore it."""
        await self.speculation.close()
        await self.in_flight.drain()


def before_a_stall(words: array[int], slots: int, active: Sequence[int]) -> int:
    """Up to where each of the slots in use has drawn tokens: (count, slots) words."""
    if STALLED in words:
        found = [words[slot::slots] for slot in active]
        return min(each.index(STALLED) if STALLED in each else len(each) for each in found)
    return len(words) // slots
