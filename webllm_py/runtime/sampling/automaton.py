"""The part of a grammar's automaton that the GPU knows, in buffers of its own."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Protocol

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.step import ROWS_AT, SLOTS
from webllm_py.runtime.sampling.sampler import RING, Sampler

__all__ = ["MISSING", "STALLED", "Automaton", "AutomatonTables", "tables_bytes"]

STALLED = (1 << 32) - 1
"""In the place of a drawn token: the state before it is not known, and nothing was drawn."""
WORDS = 1 << 19
"""Of all that is known of states."""
MISSING = 28
"""States that a stalled GPU tells of."""
PLACE = 4
TEXT_BYTES = 8
"""Of a token, as large vocabularies have them; what theirs are is not known before."""
THREADS = 256


class Automaton(Protocol):
    """States as numbers, and where bytes lead, see ``webllm_py.grammar.automaton``."""

    tokens: Sequence[bytes]
    ends: Sequence[int]
    sizes: Any  # where what is

    @property
    def full(self) -> bool:
        """Whether there was no room for something."""

    @property
    def filled(self) -> float:
        """Which share of the room is taken."""

    def clear(self) -> None:
        """Forget all."""

    def number(self, state: Any) -> int:
        """A state's number."""

    def is_free(self, number: int) -> bool:
        """Whether the text is free in a state."""

    def certain(self, state: Any) -> Sequence[int]:
        """Tokens that go through the model together."""

    @property
    def described(self) -> int:
        """How many states were."""

    def describe(self, number: int) -> Sequence[int]:
        """Make known where bytes lead from a state; the states that follow."""

    def knows_near(self, number: int, depth: int) -> bool:
        """Whether surely all is described that is up to so many steps behind a state."""

    def near(self, number: int, depth: int, is_wanted: Callable[[int], bool]) -> Iterator[None]:
        """Describe a state and what may be behind it, yielding behind each."""

    def changes(self) -> Iterator[tuple[int, array[int]]]:
        """Words that changed since it was asked before."""

    def all_changed(self) -> None:
        """Whoever asks has nothing yet."""


class AutomatonTables:
    """What is known of states, and tokens' bytes; see kernels/sample_follow.wgsl.

    Args:
        automaton: what is to be known of first.

    Attributes:
        masks: where draws find theirs.
    """

    def __init__(self, device: Device, owner: BufferOwner, sampler: Sampler, automaton: Automaton):
        self.device = device
        self._automaton = automaton
        self._sizes = automaton.sizes
        self._vocab = sampler.vocab_size
        self._ring = sampler.ring
        self._ring_slots = sampler.slots
        self.masks = owner.create("mask of a state", 4 * SLOTS + sampler.mask_bytes)
        self._words = owner.create("automaton", 4 * WORDS)
        self._place = owner.create("place in an automaton", 4 * (PLACE + MISSING))
        texts = joined(automaton.tokens, automaton.ends, self._vocab)
        self._texts = owner.create("tokens' bytes", len(texts))
        device.write(self._texts, 0, texts)
        automaton.all_changed()

    def use(self, automaton: Automaton) -> None:
        """Hold what this one knows from now on, of the same vocabulary."""
        if automaton is not self._automaton:
            assert automaton.sizes.words <= WORDS
            self._automaton = automaton
            automaton.all_changed()

    def update(self) -> None:
        """Tell the GPU of what became known."""
        for at, words in self._automaton.changes():
            self.device.write(self._words, 4 * at, words.tobytes())

    def stand(self, number: int) -> None:
        """Let the text be in a state."""
        words = array("I", [number, 0] * 2 + [0] * MISSING)
        self.device.write(self._place, 0, words.tobytes())

    def missing(self) -> Awaitable[list[int]]:
        """The states for want of which the GPU has stalled; some of them where they are many."""
        reading = self.device.read(self._place, 4 * PLACE, 4 * MISSING)

        async def read() -> list[int]:
            return [number for number in array("I", await reading) if number]

        return read()

    def follow(self, step: Buffer, *, stand: bool = False) -> Dispatch:
        """Go where the token that was just drawn leads, and find what may come there.

        Args:
            stand: there is none, and the text goes on where it stands.
        """
        sizes = self._sizes
        return Dispatch(
            kernel(
                "sample_follow",
                VOCAB=self._vocab,
                STEP_ROWS=ROWS_AT,
                RING=RING,
                RING_SLOTS=self._ring_slots,
                SLOTS=SLOTS,
                STATES=sizes.states,
                TERMS=sizes.terms,
                FRAMES_AT=sizes.frames_at,
                ENDS_AT=sizes.ends_at,
                STAND=stand,
            ),
            {
                "step": step,
                "ring": self._ring,
                "masks": self.masks,
                "automaton": self._words,
                "texts": self._texts,
                "place": self._place,
            },
            (-(-self._vocab // THREADS), 1, 1),
        )


def tables_bytes(sampler: Sampler) -> int:
    """What ``AutomatonTables`` will take, about."""
    texts = (4 + TEXT_BYTES) * sampler.vocab_size
    return 4 * WORDS + sampler.mask_bytes + texts


def joined(tokens: Sequence[bytes], ends: Sequence[int], count: int) -> bytes:
    """Where the bytes of each of so many tokens begin and the last ones end, and then all bytes, in
    whole words. Those that end a text have none."""
    texts = [*tokens[:count], *[b""] * (count - len(tokens))]
    for token in ends:
        texts[token] = b""
    begins = array("I", accumulate(map(len, texts), initial=0))
    data = begins.tobytes() + b"".join(texts)
    return data + bytes(-len(data) % 4)
