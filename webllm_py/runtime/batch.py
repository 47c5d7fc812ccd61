"""Answers to several requests, decoded together: who comes later joins between two steps.

A request that is alone runs alone (run.py), with guesses and the fewest buffers. When a second one
comes, it hands its answers over, and a task of its own takes the steps for all of them. Prompts are
computed a chunk at a time between a few steps of the others, so that nobody waits for a long one.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Container, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webllm_py.errors import GPUOutOfMemoryError
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.step import PAGE, SLOTS, Row
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.pages import Sequence as CachedSequence
from webllm_py.runtime.run import AHEAD_SECONDS, MOST_AHEAD, READ_SECONDS, Run
from webllm_py.runtime.sampler import RING
from webllm_py.runtime.settings import SamplingSettings
from webllm_py.streaming import Queue

if TYPE_CHECKING:
    from webllm_py.runtime.executor import Executor
    from webllm_py.runtime.generate import GenerationStats

__all__ = ["Batch", "Member"]

# Steps of those who decode, between two chunks of a prompt.
STEPS_A_CHUNK = 4
END = object()


@dataclass(eq=False)
class Member:
    """A request whose answers are decoded with others'. Arguments are those of ``generate``.

    Attributes:
        gone: whether nobody waits for its tokens any more.
        pieces: what it is given: answers' numbers and tokens, then the end or an error.
        done: set when nothing of it is left here.
    """

    prompt: Sequence[int]
    settings: Sequence[SamplingSettings]
    max_tokens: int
    stats: Sequence[GenerationStats]
    ended: Container[int]
    interrupted: Callable[[], bool]
    gone: bool = False
    pieces: Queue = field(default_factory=Queue)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def stopped(self) -> bool:
        """Whether it needs no more tokens, whichever answer's."""
        return self.gone or self.interrupted()

    @property
    def pages(self) -> int:
        """The most pages that it can come to use."""
        return len(self.settings) * -(-(len(self.prompt) + self.max_tokens) // PAGE)

    def leave(self, ending: Any = END) -> None:
        """Nothing more comes; ``ending`` may be an error."""
        self.pieces.put(ending)
        self.done.set()


@dataclass(eq=False)
class Part:
    """One answer of a member, in a slot.

    Attributes:
        number: which of the member's answers.
        newest: its newest token, which has no keys and values yet, and its position.
        left: tokens that may still be drawn.
    """

    member: Member
    number: int
    slot: int
    sequence: CachedSequence
    newest: int
    position: int
    left: int

    @property
    def over(self) -> bool:
        """Whether it needs no more tokens."""
        return self.left <= 0 or self.member.stopped or self.number in self.member.ended

    def take(self, tokens: list[int]) -> None:
        """Note and pass on tokens that were drawn for it."""
        self.sequence.tokens += [self.newest, *tokens[:-1]]
        self.newest = tokens[-1]
        self.position += len(tokens)
        self.left -= len(tokens)
        self.member.pieces.put((self.number, tokens))


class Joining:
    """A member whose prompt is being computed, in the slots that it will have."""

    def __init__(self, member: Member, slots: Sequence[int], batch: Batch):
        self.member, self.slots = member, slots
        executor, prompt = batch.executor, member.prompt
        for slot, settings in zip(slots, member.settings, strict=True):
            batch.decoder.sampler.begin(settings, prompt, slot)
        self.sequences = [executor.cache.begin(prompt, slots[0])]
        cached = len(self.sequences[0].tokens)
        for stats in member.stats:
            stats.prompt_tokens, stats.cached_tokens = len(prompt), cached
            stats.began = time.perf_counter()
        self.chunks: AsyncIterator[CachedSequence] = executor.prefill(
            self.sequences[0], prompt[cached:], slots[0]
        )


class Batch:
    """Members' answers in slots of one decoder, as many as there is room for; others wait."""

    def __init__(self, executor: Executor):
        self.executor = executor
        self.decoder = executor.decoder
        self._alone = False
        self._waiting: deque[Member] = deque()
        self._joining: Joining | None = None
        self._parts: list[Part] = []
        self._task: asyncio.Task[None] | None = None
        self._scratch = BufferOwner(executor.device)
        self._drawn = 0
        self._in_flight: deque[tuple[int, Awaitable[bytes]]] = deque()
        self._seconds_a_step = AHEAD_SECONDS

    @property
    def busy(self) -> bool:
        """Whether somebody decodes, alone or together."""
        return self._alone or self._task is not None

    def begin_alone(self) -> None:
        """A request runs alone from now on."""
        self._alone = True

    def end_alone(self) -> None:
        """It does no longer; those who came meanwhile begin."""
        self._alone = False
        if self._waiting and self._task is None:
            self._start()

    async def joined_later(
        self, run: Run, member: Member, *, guess: bool
    ) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers of a run and their tokens: it runs alone until others come, then with them."""
        run.wanted = self._is_wanted
        async for piece in run.ahead(guess=guess):
            yield piece
        if not run.active or run.issued >= run.max_tokens:
            return
        if await self._take_over(run, member):
            async with aclosing(self.tokens(member, joined=True)) as pieces:
                async for piece in pieces:
                    yield piece
        else:
            run.wanted = lambda: False
            async for piece in run.ahead(guess=guess):
                yield piece

    async def _take_over(self, run: Run, member: Member) -> bool:
        """Go on with the answers of a run that has nothing in flight; False: there is no room for
        it, and it is to go on alone."""
        try:
            await self._make_decoder()
        except GPUOutOfMemoryError:
            return False
        device, theirs = self.executor.device, run.decoder.sampler
        for source, target in zip(theirs.state, self.decoder.sampler.state, strict=True):
            device.copy(source, target, source.size)
        for index in run.active:
            row = run.row(index)
            left = run.max_tokens - run.issued
            sequence = run.sequences[index]
            self._parts.append(Part(member, index, index, sequence, row.token, row.position, left))
        for index, sequence in enumerate(run.sequences):
            if index not in run.active:
                self.executor.cache.pages.finish(sequence)
        run.sequences.clear()
        self._drawn = run.issued
        self._start()
        return True

    async def tokens(
        self, member: Member, *, joined: bool = False
    ) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Which of a member's answers, and tokens drawn for it, as they arrive.

        Closing it takes the member out; what was computed stays in the cache.

        Args:
            joined: whether it has been taken over already.
        """
        if not joined:
            self._waiting.append(member)
        try:
            while (piece := await member.pieces.get()) is not END:
                if isinstance(piece, Exception):
                    raise piece
                if piece[0] not in member.ended:
                    yield piece
        finally:
            member.gone = True
            if member in self._waiting:
                self._waiting.remove(member)
            else:
                await member.done.wait()

    async def close(self) -> None:
        """Wait until nothing is under way."""
        if self._task:
            await asyncio.gather(self._task, return_exceptions=True)

    def _is_wanted(self) -> bool:
        return bool(self._waiting)

    def _start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def _make_decoder(self) -> None:
        executor = self.executor
        try:
            self.decoder = Decoder(executor, self._scratch, min(SLOTS, executor.chunk))
            await executor.device.check()
        except BaseException:
            self.decoder = executor.decoder
            self._scratch.free_all()
            raise

    async def _run(self) -> None:
        """Take steps until no member is left."""
        ending: Any = END
        try:
            if self.decoder is self.executor.decoder:
                with suppress(GPUOutOfMemoryError):  # they run one after the other, then
                    await self._make_decoder()
            while self._parts or self._joining or self._waiting:
                self._let_go()
                await self._admit()
                if self._parts:
                    await self._steps()
        except Exception as error:
            ending = error
        finally:
            await self._drain()
            self._end(ending)

    def _end(self, ending: Any) -> None:
        """Nothing is left of anybody. (Without an await: whoever is next finds all free.)"""
        joining = [self._joining.member] if self._joining else []
        members = {part.member: None for part in self._parts} | dict.fromkeys(joining)
        if self._joining:
            self._give_back(self._joining.sequences)
        self._give_back([part.sequence for part in self._parts])
        self._parts, self._joining = [], None
        waiting = [*self._waiting] if ending is not END else []
        for member in (*members, *waiting):
            member.leave(ending)
        for member in waiting:
            self._waiting.remove(member)
        if self.decoder is not self.executor.decoder:
            self.executor.drop_plans(self.decoder)
        self.decoder = self.executor.decoder
        self._scratch.free_all()
        self._task = None
        if self._waiting:
            self._start()

    def _give_back(self, sequences: Sequence[CachedSequence]) -> None:
        pages = self.executor.cache.pages
        for sequence in sequences:
            if self.executor.device.lost:
                pages.release(sequence)
            else:
                pages.finish(sequence)

    def _let_go(self) -> None:
        """Take out what is over."""
        over = [part for part in self._parts if part.over]
        self._parts = [part for part in self._parts if not part.over]
        self._give_back([part.sequence for part in over])
        left = {part.member for part in self._parts}
        for member in {part.member: None for part in over}:
            if member not in left:
                member.leave()
        if self._joining and self._joining.member.stopped:
            self._fail_joining(END)
        for member in [member for member in self._waiting if member.stopped]:
            self._waiting.remove(member)
            member.leave()

    def _fail_joining(self, ending: Any) -> None:
        if self._joining:
            self._give_back(self._joining.sequences)
            self._joining.member.leave(ending)
            self._joining = None

    @property
    def _free_slots(self) -> list[int]:
        taken = {part.slot for part in self._parts}
        return [slot for slot in range(self.decoder.slots) if slot not in taken]

    def _has_room(self) -> bool:
        """For the first one that waits; its pages are never more than the cache can have."""
        if not self._waiting or self._joining:
            return False
        member = self._waiting[0]
        used = sum(other.pages for other in {part.member for part in self._parts})
        fits = used + member.pages <= self.executor.cache.pages.max_pages
        return (fits or not used) and len(member.settings) <= len(self._free_slots)

    async def _admit(self) -> None:
        """Compute a chunk of the prompt of who comes next; after the last one it has joined."""
        if self._has_room():
            member = self._waiting.popleft()
            self._joining = Joining(member, self._free_slots[: len(member.settings)], self)
        elif self._waiting and not self._parts and not self._joining:
            error = GPUOutOfMemoryError("no memory to decode several answers together; ask for one")
            self._waiting.popleft().leave(error)
        if not self._joining:
            return
        try:
            await anext(self._joining.chunks)
            if len(self._joining.sequences[0].tokens) == len(self._joining.member.prompt):
                await self._join(self._joining)  # before a step takes the last row's place
        except GPUOutOfMemoryError as error:
            self._fail_joining(error)

    async def _join(self, joining: Joining) -> None:
        """Draw the first token of each of its answers, from the logits behind its prompt."""
        executor, member = self.executor, joining.member
        await anext(joining.chunks, None)  # ends it
        first = joining.sequences[0]
        for slot in joining.slots[1:]:
            joining.sequences.append(await executor.cache.fork(first, slot))
        executor.go_on(first, joining.slots, self._drawn)
        executor.device.replay(await self.decoder.plan("head"))
        executor.device.replay(await self.decoder.plan("first", len(joining.slots)))
        self._submitted(1)
        words = await self._next_words()
        for number, slot in enumerate(joining.slots):
            token, sequence = words[slot], joining.sequences[number]
            position, left = len(member.prompt), member.max_tokens - 1
            self._parts.append(Part(member, number, slot, sequence, token, position, left))
            member.pieces.put((number, [token]))
        self._joining = None

    async def _steps(self) -> None:
        """Steps of everybody, until somebody is over, or can join; nothing is in flight then."""
        parts = self._parts
        rows = [Row(part.newest, part.position, part.slot, self._drawn) for part in parts]
        self.executor.write_rows(rows)
        left = min(part.left for part in parts)
        if self._joining:
            left = min(left, STEPS_A_CHUNK)
        arrived = 0.0
        while True:
            if not (any(part.over for part in parts) or self._has_room()):
                left -= await self._fill(left)
            if not self._in_flight:
                return
            count = self._in_flight[0][0]
            words = await self._next_words()
            before, arrived = arrived, time.perf_counter()
            if before:
                measured = max((arrived - before) / count, 1e-5)
                self._seconds_a_step = (self._seconds_a_step + measured) / 2
            for part in parts:
                part.take(list(words[part.slot :: self.decoder.slots]))
            await asyncio.sleep(0)  # those who get tokens may see a stop in them

    async def _fill(self, left: int) -> int:
        """Submit steps until as many are in flight as keep the GPU busy; how many."""
        target = max(1, min(MOST_AHEAD, int(AHEAD_SECONDS / self._seconds_a_step)))
        most = max(1, min(target // 2, int(READ_SECONDS / self._seconds_a_step)))
        submitted = 0
        while submitted < left and self._steps_in_flight < target:
            count = min(most, left - submitted, RING - self._drawn % RING)
            if not await self._submit(count):
                break
            submitted += count
        return submitted

    @property
    def _steps_in_flight(self) -> int:
        return sum(count for count, _ in self._in_flight)

    async def _submit(self, count: int) -> bool:
        """Submit so many steps; False: a part has no memory to go on, and is over."""
        executor, ahead = self.executor, self._steps_in_flight + count
        for part in self._parts:
            try:
                await executor.cache.reserve(part.sequence, part.position + ahead, part.slot)
            except GPUOutOfMemoryError as error:
                part.member.pieces.put(error)
                part.member.gone = True
                return False
        keys = max(part.position for part in self._parts) + ahead + 1
        plan = await self.decoder.step(len(self._parts), keys)
        executor.device.replay(plan, count)
        self._submitted(count)
        return True

    def _submitted(self, count: int) -> None:
        row = 4 * self.decoder.slots
        offset = row * (self._drawn % RING)
        reading = self.executor.device.read(self.decoder.sampler.ring, offset, row * count)
        self._in_flight.append((count, reading))
        self._drawn += count

    async def _next_words(self) -> array[int]:
        """The ring's rows of the oldest steps in flight."""
        words = array("I", await self._in_flight[0][1])
        self._in_flight.popleft()
        return words

    async def _drain(self) -> None:
        """Wait for what is in flight, whatever becomes of it."""
        readings = [reading for _, reading in self._in_flight]
        self._in_flight.clear()
        await asyncio.gather(*readings, return_exceptions=True)
