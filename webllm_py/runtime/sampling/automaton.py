"""The part of a grammar's automaton that the GPU knows, in buffers of its own."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.step import ROWS_AT, SLOTS
from webllm_py.runtime.sampling.sampler import RING, Sampler

__all__ = ["MISSING", "STALLED", "Automaton", "AutomatonTables", "tables_bytes"]

STALLED = (1 << 32) - 1
"""In the place of a drawn token: a state before it is not known, and nothing was drawn."""
WORDS = 1 << 19
"""Of all that is known of states."""
MISSING = 28
"""States that a stalled GPU tells of."""
A_PLACE = 4
PLACES = A_PLACE * SLOTS + 1
"""Words about where texts stand, and of how many tokens they have at least."""
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

    def spelling(self, state: Any) -> Sequence[int]:
        """The tokens that spell what must come next."""

    def place(self, state: Any, spelled: int = 0) -> tuple[int, int]:
        """Where a text stands that has so many tokens of the spelling there, as the GPU has it."""

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
    """What is known of states, tokens' bytes and texts' places; see kernels/sample_follow.wgsl.

    Args:
        sampler: of the vocabulary.
        automaton: what is to be known of first.

    Attributes:
        masks: where draws find theirs.
    """

    def __init__(self, device: Device, owner: BufferOwner, sampler: Sampler, automaton: Automaton):
        self.device = device
        self._automaton = automaton
        self._sizes = automaton.sizes
        self._vocab = sampler.vocab_size
        self.masks = owner.create("masks of states", (4 + sampler.mask_bytes) * SLOTS)
        self._words = owner.create("automaton", 4 * WORDS)
        self._place = owner.create("places in an automaton", 4 * (PLACES + MISSING))
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

    def stand(self, places: Mapping[int, tuple[int, int]], least: int) -> None:
        """Let the texts of slots be in these states, and where in a spelling, 0 for none.

        Args:
            least: before so many draws a text does not end if it can go on.
        """
        words = array("I", bytes(4 * (PLACES + MISSING)))
        for slot, place in places.items():
            words[A_PLACE * slot : A_PLACE * (slot + 1)] = array("I", 2 * place)
        words[PLACES - 1] = least
        self.device.write(self._place, 0, words.tobytes())

    def missing(self) -> Awaitable[list[int]]:
        """The states for want of which the GPU has stalled; some of them where they are many."""
        reading = self.device.read(self._place, 4 * PLACES, 4 * MISSING)

        async def read() -> list[int]:
            return [number for number in array("I", await reading) if number]

        return read()

    def follow(
        self, sampler: Sampler, step: Buffer, rows: int, longest: int, *, stand: bool = False
    ) -> Dispatch:
        """Go where each row's token that was just drawn leads, and find what may come there.

        Args:
            sampler: has drawn it.
            longest: where spellings of more tokens begin, the steps end.
            stand: there are none, and the texts go on where they stand.
        """
        sizes = self._sizes
        return Dispatch(
            kernel(
                "sample_follow",
                VOCAB=self._vocab,
                STEP_ROWS=ROWS_AT,
                RING=RING,
                RING_SLOTS=sampler.slots,
                SLOTS=SLOTS,
                STATES=sizes.states,
                TERMS=sizes.terms,
                FRAMES_AT=sizes.frames_at,
                ENDS_AT=sizes.ends_at,
                LONGEST=longest,
                STAND=stand,
            ),
            {
                "step": step,
                "ring": sampler.ring,
                "masks": self.masks,
                "automaton": self._words,
                "texts": self._texts,
                "place": self._place,
            },
            (-(-self._vocab // THREADS), rows, 1),
        )


def tables_bytes(sampler: Sampler) -> int:
    """What ``AutomatonTables`` will take, about."""
    texts = (4 + TEXT_BYTES) * sampler.vocab_size
    return 4 * WORDS + SLOTS * sampler.mask_bytes + texts


def joined(tokens: Sequence[bytes], ends: Sequence[int], count: int) -> bytes:
    """Where the bytes of each of so many tokens begin and the last ones end, and then all bytes, in
    whole words. Those that end a text have none."""
    texts = [*tokens[:count], *[b""] * (count - len(tokens))]
    for token in ends:
        texts[token] = b""
    begins = array("I", accumulate(map(len, texts), initial=0))
    data = begins.tobytes() + b"".join(texts)
    return data + bytes(-len(data) % 4)
