"""Continuous batching: answers to several requests are decoded together, and requests that come
later join between two steps.

A request that is alone runs alone (run.py), with speculation and the fewest buffers. When a second
one comes, the first hands its answers over, and one task takes the steps of all. Prompts are
computed a chunk at a time, between a few steps of the others, so that a long one delays nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from webllm_py.errors import GPUOutOfMemoryError, NotANumberError
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.step import SLOTS
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.generation.in_flight import check_drawn
from webllm_py.runtime.generation.members import END, Joining, Member, Part
from webllm_py.runtime.generation.run import Run
from webllm_py.runtime.generation.shared_steps import SharedSteps

if TYPE_CHECKING:
    from webllm_py.runtime.executor import Executor

__all__ = ["Batch"]

# Decode steps between two chunks of a prompt.
STEPS_A_CHUNK = 4


class Batch:
    """Requests ("members") whose answers share the slots of one decoder; the others wait."""

    def __init__(self, executor: Executor):
        self.executor = executor
        self._steps = SharedSteps(executor.decoder)
        self._alone = False
        self._waiting: deque[Member] = deque()
        self._joining: Joining | None = None
        self._parts: list[Part] = []
        self._task: asyncio.Task[None] | None = None
        self._scratch = BufferOwner(executor.device)

    @property
    def busy(self) -> bool:
        """Whether a request is decoding, alone or with others."""
        return self._alone or self._task is not None

    @contextmanager
    def one_alone(self) -> Iterator[None]:
        """While this lasts, a request runs alone. Those that came meanwhile and were not joined
        with it begin at the end."""
        self._alone = True
        try:
            yield
        finally:
            self._alone = False
            if self._waiting and self._task is None:
                self._start()

    async def joined_later(
        self, run: Run, member: Member, *, guess: bool
    ) -> AsyncGenerator[tuple[int, list[int]], None]:
        """A run's answers and their tokens: it runs alone until others come, then with them."""
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
        """Take over the answers of a run that has nothing in flight; False if there is no memory
        for that, and it has to go on alone."""
        try:
            decoder = await self._made_decoder()
        except GPUOutOfMemoryError:
            return False
        device, theirs = self.executor.device, run.decoder.sampler
        for source, target in zip(theirs.state, decoder.sampler.state, strict=True):
            device.copy(source, target, source.size)
        self._steps = SharedSteps(decoder, run.issued)
        for index in run.active:
            row = run.row(index)
            left = run.max_tokens - run.issued
            sequence = run.sequences[index]
            self._parts.append(Part(member, index, index, sequence, row.token, row.position, left))
        for index, sequence in enumerate(run.sequences):
            if index not in run.active:
                self.executor.finish(sequence, member.stats[index].unused)
        run.sequences.clear()
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

    async def _made_decoder(self) -> Decoder:
        executor = self.executor
        try:
            decoder = Decoder(executor, self._scratch, min(SLOTS, executor.chunk))
            await executor.device.check()
        except BaseException:
            self._scratch.free_all()
            raise
        return decoder

    async def _run(self) -> None:
        """Take steps until no member is left."""
        ending: Any = END
        try:
            if not self._parts:
                with suppress(GPUOutOfMemoryError):  # they run one after the other, then
                    self._steps = SharedSteps(await self._made_decoder())
            while self._parts or self._joining or self._waiting:
                self._let_go()
                await self._admit()
                if self._parts:
                    most = min(part.left for part in self._parts)
                    most = min(most, STEPS_A_CHUNK) if self._joining else most
                    await self._steps.take(self._parts, most, self._is_disturbed)
        except Exception as error:
            ending = error
        finally:
            await self._steps.drain()
            self._end(ending)

    def _is_disturbed(self) -> bool:
        """Whether an answer has ended, or a request can join."""
        return any(part.over for part in self._parts) or self._has_room()

    def _end(self, ending: Any) -> None:
        """End all members. It does not await, so that the next request finds everything free."""
        joining = [self._joining.member] if self._joining else []
        members = {part.member: None for part in self._parts} | dict.fromkeys(joining)
        if self._joining:
            self._joining.finish(self.executor)
        for part in self._parts:
            part.finish(self.executor)
        self._parts, self._joining = [], None
        waiting = [*self._waiting] if ending is not END else []
        for member in (*members, *waiting):
            member.leave(ending)
        for member in waiting:
            self._waiting.remove(member)
        if self._steps.decoder is not self.executor.decoder:
            self.executor.plans.drop(self._steps.decoder)
        self._steps = SharedSteps(self.executor.decoder)
        self._scratch.free_all()
        self._task = None
        if self._waiting:
            self._start()

    def _let_go(self) -> None:
        """Take out the answers and members that have ended."""
        over = [part for part in self._parts if part.over]
        self._parts = [part for part in self._parts if not part.over]
        for part in over:
            part.finish(self.executor)
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
            self._joining.finish(self.executor)
            self._joining.member.leave(ending)
            self._joining = None

    @property
    def _free_slots(self) -> list[int]:
        taken = {part.slot for part in self._parts}
        return [slot for slot in range(self._steps.decoder.slots) if slot not in taken]

    def _has_room(self) -> bool:
        """Whether the first member that waits can join: it never needs more pages than the cache
        can have."""
        if not self._waiting or self._joining:
            return False
        member = self._waiting[0]
        most = self.executor.layout.max_pages  # of a sequence, which may drop some
        members = {part.member for part in self._parts}
        used = sum(min(other.pages, len(other.settings) * most) for other in members)
        needed = min(member.pages, len(member.settings) * most)
        fits = used + needed <= self.executor.cache.pages.max_pages
        return (fits or not used) and len(member.settings) <= len(self._free_slots)

    async def _admit(self) -> None:
        """Compute a chunk of the next member's prompt; after the last one it has joined."""
        if self._has_room():
            member = self._waiting.popleft()
            slots = self._free_slots[: len(member.settings)]
            self._joining = Joining(member, slots, self._steps.decoder)
        elif self._waiting and not self._parts and not self._joining:
            error = GPUOutOfMemoryError("no memory to decode several answers together; ask for one")
            self._waiting.popleft().leave(error)
        if not self._joining:
            return
        try:
            await anext(self._joining.chunks, None)
            if self._joining.sequences[0].read == len(self._joining.member.known):
                await self._join(self._joining)  # before a step takes the last row's place
        except (GPUOutOfMemoryError, NotANumberError) as error:
            self._fail_joining(error)

    async def _join(self, joining: Joining) -> None:
        """Draw the first token of each of its answers, from the logits of its prompt's last token.
        An answer that goes on with tokens that were drawn before begins with the newest of them."""
        executor, member = self.executor, joining.member
        await anext(joining.chunks, None)  # ends it
        first = joining.sequences[0]
        if said := member.said:
            position, left = len(first.tokens), member.max_tokens - len(said)
            part = Part(member, 0, joining.slots[0], first, said[-1], position, left)
            self._parts.append(part)
            self._joining = None
            return
        for slot in joining.slots[1:]:
            joining.sequences.append(await executor.cache.fork(first, slot))
        executor.go_on(first, joining.slots, self._steps.drawn)
        tokens = await self._steps.first(joining.slots, adapted=bool(member.adapters))
        check_drawn(tokens, joining.sequences)
        for number, (slot, token) in enumerate(zip(joining.slots, tokens, strict=True)):
            sequence = joining.sequences[number]
            position, left = len(first.tokens), member.max_tokens - 1
            self._parts.append(Part(member, number, slot, sequence, token, position, left))
            member.pieces.put((number, [token]))
        self._joining = None
