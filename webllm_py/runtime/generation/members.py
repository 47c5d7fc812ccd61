"""What a batch is made of: requests (members), their answers (parts), and who is joining."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webllm_py.models.step import PAGE, Row
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.generation.prefill import retrace
from webllm_py.runtime.kv.pages import Mix
from webllm_py.runtime.kv.pages import Sequence as CachedSequence
from webllm_py.runtime.sampling.settings import SamplingSettings
from webllm_py.streaming import Queue

if TYPE_CHECKING:
    from webllm_py.runtime.executor import Executor
    from webllm_py.runtime.generation.generate import GenerationStats

__all__ = ["END", "Joining", "Member", "Part"]

END = object()


@dataclass(eq=False)
class Member:
    """A request whose answers are decoded with others'. Arguments are those of ``generate``.

    Attributes:
        said: tokens that its only answer has already; see ``generate``.
        gone: whether nobody waits for its tokens any more.
        pieces: what comes for it: answers' numbers and tokens, then ``END`` or an error.
        done: set when nothing of it is left in the batch.
    """

    prompt: Sequence[int]
    settings: Sequence[SamplingSettings]
    max_tokens: int
    stats: Sequence[GenerationStats]
    ended: Container[int]
    interrupted: Callable[[], bool]
    adapters: Mix = ()
    said: Sequence[int] = ()
    gone: bool = False
    pieces: Queue = field(default_factory=Queue)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def stopped(self) -> bool:
        """Whether none of its answers needs more tokens."""
        return self.gone or self.interrupted()

    @property
    def known(self) -> Sequence[int]:
        """The tokens that need keys and values before the first step. That step computes those of
        the newest token of ``said`` itself."""
        return [*self.prompt, *self.said[:-1]] if self.said else self.prompt

    @property
    def pages(self) -> int:
        """The most pages of the cache that it can come to use."""
        return len(self.settings) * -(-(len(self.prompt) + self.max_tokens) // PAGE)

    def fail(self, error: Exception) -> None:
        """End this member with an error; others go on."""
        self.pieces.put(error)
        self.gone = True

    def leave(self, ending: Any = END) -> None:
        """Tell it that no more tokens come; ``ending`` may be an error."""
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

    def row(self, drawn: int) -> Row:
        """The row of the next step; ``drawn``: the place of the next token in the ring."""
        return Row(self.newest, self.position, self.slot, drawn)

    def take(self, tokens: list[int]) -> None:
        """Note and pass on tokens that were drawn for it."""
        self.sequence.tokens += [self.newest, *tokens[:-1]]
        self.newest = tokens[-1]
        self.position += len(tokens)
        self.left -= len(tokens)
        self.member.pieces.put((self.number, tokens))

    def finish(self, executor: Executor) -> None:
        """It is complete, and in the cache."""
        executor.finish(self.sequence, self.member.stats[self.number].unused)


class Joining:
    """A member whose prompt is being computed, in the slots that it will have."""

    def __init__(self, member: Member, slots: Sequence[int], decoder: Decoder):
        self.member, self.slots = member, slots
        executor, prompt = decoder.executor, member.prompt
        for slot, settings in zip(slots, member.settings, strict=True):
            decoder.sampler.begin(settings, prompt, slot, said=member.said)
        executor.use_adapters(slots, member.adapters)
        self.sequences = [executor.cache.begin(member.known, slots[0], member.adapters)]
        cached = self.sequences[0].read
        for stats in member.stats:
            stats.prompt_tokens, stats.cached_tokens = len(prompt), cached
            stats.began = time.perf_counter()
        self.chunks: AsyncGenerator[CachedSequence, None] = retrace(
            executor, self.sequences[0], prompt, member.said, slots[0]
        )

    def finish(self, executor: Executor) -> None:
        """It does not join; what was computed is in the cache."""
        for sequence in self.sequences:
            executor.finish(sequence)
