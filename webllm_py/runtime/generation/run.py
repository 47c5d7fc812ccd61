"""The decode steps of answers that go on together, with several of them in flight.

The GPU draws a token and feeds it to its own next step, so the host need not see it in between:
steps are submitted ahead, and their tokens read back while later steps run.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Container, Sequence
from typing import TYPE_CHECKING

from webllm_py.gpu.device import Plan
from webllm_py.models.step import Row
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.generation.prefill import prefill
from webllm_py.runtime.generation.speculation import Speculation
from webllm_py.runtime.kv.pages import Sequence as CachedSequence
from webllm_py.runtime.sampling.automaton import STALLED
from webllm_py.runtime.sampling.sampler import RING

if TYPE_CHECKING:
    from webllm_py.runtime.sampling.logprobs import TokenLogprob

__all__ = ["MOST_AHEAD", "Run"]

# Seconds, and tokens, of work in flight: enough that the GPU never waits, and few enough that
# stopping is quick and little past a stop is computed in vain.
AHEAD_SECONDS = 0.06
MOST_AHEAD = 64
# Tokens in flight before the first one is read, and where speculation may begin soon, which has to
# wait for what is in flight: in a text's first tokens it may.
FEW_AHEAD = 4
FIRST_TOKENS = 12
# Seconds of decoding that one read-back covers: each has a fixed cost, and readers do not notice
# that tokens this close come together.
READ_SECONDS = 0.03


class Run:
    """The steps of one generation.

    Attributes:
        active: the answers that still need tokens; an answer's number is its slot.
        issued: how many tokens were drawn, or submitted to be drawn, for each of them.
        base: positions before the first of these tokens; see ``begin_at``.
        limit: how many tokens may be drawn before there is no position left.
        wanted: asked between read-backs whether the answers are to be handed over to a batch.
        newest: the last token that was read for each answer; it may have no keys and values yet.
        logprobs: of each answer's tokens, where the decoder finds them.
        stalled: whether the steps that were just read ended in a state of the grammar that the GPU
            did not know.
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
        self.most_ahead = min(most_ahead, RING // 2)
        self.active = list(range(decoder.slots))
        self.newest: dict[int, int] = {}
        self.issued = 0
        self.begin_at(len(prompt))
        # Until it is measured for this number of answers, one step at a time is submitted.
        self.seconds_a_step = self.executor.paces.get(decoder.slots, AHEAD_SECONDS)
        self.in_flight: deque[tuple[int, list[Awaitable[bytes]]]] = deque()
        self.logprobs: list[list[TokenLogprob]] = [[] for _ in self.active]
        self.speculation = Speculation(self)
        self.stalled = False
        self._in_vain: list[Awaitable[bytes]] = []
        self.wanted: Callable[[], bool] = lambda: False

    def begin_at(self, base: int) -> None:
        """Count the positions of drawn tokens from ``base`` on."""
        self.base = base
        self.limit = min(self.max_tokens, self.executor.context_length - base + 1)

    async def ahead(self, *, guess: bool) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers and their tokens, with steps in flight while the host reads earlier ones; until
        ``max_tokens``, or until ``wanted``."""
        if not self.issued:
            self.device.replay(await self.decoder.plan("head"))
            self.replay(await self.decoder.plan("first", len(self.active)))
        guess &= self.decoder.slots == 1 and not self.decoder.logprobs
        arrived = 0.0
        while self.active and (self.in_flight or self.issued < self.max_tokens):
            early = self.issued < FIRST_TOKENS or self.speculation.near
            # Whatever is submitted before the first token is read delays it.
            few = not self.newest or (guess and early)
            await self.fill(FEW_AHEAD if few else self.most_ahead)
            if not self.in_flight:
                await self.make_room()
                continue
            count, read = await self.next_read()
            before, arrived = arrived, time.perf_counter()
            if before:
                self.paced((arrived - before) / count)
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

    def paced(self, seconds: float) -> None:
        """Note how long a step took."""
        self.seconds_a_step = (self.seconds_a_step + max(seconds, 1e-5)) / 2
        self.executor.paces[self.decoder.slots] = self.seconds_a_step

    async def fill(self, most: int) -> None:
        """Submit steps until as many are in flight as keep the GPU busy, at most ``most``."""
        target = max(1, min(most, self.most_ahead, int(AHEAD_SECONDS / self.seconds_a_step)))
        while self.issued < self.limit and self.waiting < target:
            # Half of them, so that the GPU has the others while the host reads these.
            await self.submit(max(1, min(target // 2, int(READ_SECONDS / self.seconds_a_step))))

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
    def waiting(self) -> int:
        """Steps submitted but not read."""
        return sum(count for count, _ in self.in_flight)

    async def submit(self, most: int) -> None:
        """Submit up to ``most`` more steps and the read-back of their tokens."""
        slot = self.issued % RING
        count = min(most, self.limit - self.issued, RING - slot)
        # Steps that are submitted together have the same plan, fused or not.
        if (left := self.executor.fused_keys - self.keys + 1) > 0:
            count = min(count, left)
        await self.reserve(count)
        self.replay(await self.decoder.step(len(self.active), self.keys + count - 1), count)

    @property
    def keys(self) -> int:
        """How many keys the row of the newest token attends to."""
        return self.base + self.issued

    async def draw_one(self) -> None:
        """Draw a token of each answer from the logits, and submit the next forward pass. Nothing
        may be in flight."""
        # The first tokens of all answers are drawn from one row of logits.
        draw = "sample" if self.newest else "first"
        self.replay(await self.decoder.plan(draw, len(self.active)))
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

    def replay(self, plan: Plan, times: int = 1) -> None:
        """Submit steps and the read-back of their tokens."""
        row = 4 * self.decoder.slots
        offset = row * (self.issued % RING)
        ring = self.decoder.sampler.ring
        readings = [self.device.replay_and_read(plan, times, ring, offset, row * times)]
        if self.decoder.logprobs:
            readings.append(self.decoder.logprobs.read(self.issued, times))
        self.in_flight.append((times, readings))
        self.issued += times

    async def next_read(self) -> tuple[int, list[tuple[int, list[int]]]]:
        """Wait for the oldest steps in flight: how many they are, and each answer's tokens."""
        count, readings = self.in_flight[0]
        data = [await reading for reading in readings]
        self.in_flight.popleft()
        while self._in_vain:
            await self._in_vain.pop()
        words = array("I", data[0])
        self.stalled = STALLED in words
        if self.stalled:
            del words[words.index(STALLED) :]
            self._drop(count - len(words))
        tokens = [(i, list(words[i :: self.decoder.slots])) for i in self.active]
        for index, drawn in tokens:
            self.keep(index, drawn)
            if self.decoder.logprobs:
                found = self.decoder.logprobs.of_slot(data[1], index, drawn)
                self.logprobs[index] += found
        return count, tokens

    def _drop(self, lost: int) -> None:
        """The last ``lost`` of the steps that were read drew nothing, nor do those in flight."""
        self.issued -= lost + self.waiting
        # They must be awaited before later ones.
        self._in_vain += [reading for _, several in self.in_flight for reading in several]
        self.in_flight.clear()

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
        while self.active and self.in_flight:
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
        readings = [reading for _, several in self.in_flight for reading in several]
        await asyncio.gather(*readings, *self._in_vain, return_exceptions=True)
        self.in_flight.clear()
        self._in_vain.clear()
