"""The part of a grammar's automaton that the GPU knows, in buffers of its own."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.step import ROWS_AT, SLOTS
from webllm_py.runtime.sampling.sampler import RING, Sampler

__all__ = ["STALLED", "Automaton", "AutomatonTables", "Description"]

STALLED = (1 << 32) - 1
"""In the place of a drawn token: the state before it is not known, and nothing was drawn."""
ONLY = 1 << 31
WORDS = 1 << 20
"""Of the states' index and records."""
MASKS_BYTES = 12 << 20
MOST_MASKS = 2048
SLACK = 32
"""Words behind a record, for tokens that are met later."""


class Place(Protocol):
    """Where a description belongs, see ``webllm_py.grammar.descriptions``."""

    @property
    def state(self) -> int:
        """A number of its own, or 0."""

    @property
    def frame(self) -> int:
        """What is around it, where it has none."""

    @property
    def term(self) -> int:
        """What of a text in quotes is left."""

    @property
    def kind(self) -> int:
        """The kind of the frame."""


class Description(Protocol):
    """What is known of a state."""

    @property
    def mask(self) -> bytes | int:
        """The tokens that may be drawn, or the only one."""

    @property
    def by_class(self) -> array[int]:
        """What is behind tokens of each class, or nothing."""

    @property
    def pairs(self) -> dict[int, int]:
        """What is behind other tokens."""

    @property
    def wide(self) -> bool:
        """Whether there are many tokens."""

    @property
    def looked(self) -> bool:
        """Whether it has more than what was met."""


class Automaton(Protocol):
    """States as numbers, and where tokens lead."""

    classes: bytearray
    sizes: Any  # of states, terms, frames and kinds of frames

    @property
    def crowded(self) -> bool:
        """Whether it knows so much that it takes much memory."""

    def clear(self) -> None:
        """Forget all."""

    def number(self, state: Any) -> int:
        """A state's number, 0 without room for it."""

    def place(self, number: int) -> Place:
        """Where its description belongs."""

    def ends(self, frame: int) -> dict[int, int]:
        """The states behind the ways out of quotes."""

    def is_free(self, number: int) -> bool:
        """Whether the text is free in a state."""

    def spelling(self, state: Any) -> Sequence[int]:
        """The tokens that spell what must come next, or nothing."""

    def certain(self, state: Any) -> Sequence[int]:
        """Tokens that go through the model together."""

    def certain_behind(self, number: int) -> bool:
        """Whether there are any in this state."""

    def known(self, number: int, token: int) -> int:
        """The state behind a token, or 0."""

    def behind(self, number: int, token: int) -> int:
        """The state behind a token, which is known from now on."""

    def following(self, number: int) -> Sequence[int]:
        """States that follow; the description has the tokens that lead there from now on."""

    def described(self, number: int) -> Iterator[tuple[int, Description]]:
        """The description of a state, and of those that certainly follow."""

    def describe(self, number: int) -> Description:
        """What is known of a state."""


class AutomatonTables:
    """States, masks and tokens' classes; see kernels/sample_follow.wgsl and sample_prepare.wgsl.

    Attributes:
        masks: where draws find theirs.
    """

    def __init__(self, device: Device, owner: BufferOwner, sampler: Sampler):
        self.device = device
        self._ring = sampler.ring
        self._ring_slots = sampler.slots
        self._mask_words = sampler.mask_bytes // 4
        self._most_masks = max(1, min(MOST_MASKS, MASKS_BYTES // sampler.mask_bytes))
        size = 4 * SLOTS + self._most_masks * sampler.mask_bytes
        self.masks = owner.create("masks of states", size)
        self._table = owner.create("automaton", 4 * WORDS)
        self._classes = owner.create("token classes", -(-sampler.vocab_size // 4) * 4)
        self._automaton: Automaton | None = None

    def use(self, automaton: Automaton) -> bool:
        """Hold states of this one from now on; whether they were another's before."""
        new = automaton is not self._automaton
        if new:
            self._automaton = automaton
            sizes = automaton.sizes
            self._states, self._terms = int(sizes.states), int(sizes.terms)
            self._frames_at = SLOTS + self._states
            self._places_at = self._frames_at + 2 * int(sizes.frames)
            self._records_at = self._places_at + int(sizes.kinds) * self._terms
            self.device.write(self._classes, 0, automaton.classes)
            self.clear()
        return new

    def clear(self) -> None:
        """Forget all states."""
        self.device.clear(self._table)
        self._end = self._records_at
        self._records: dict[int, tuple[int, int]] = {}  # by its index: where, and how many words
        self._rules: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._masks: dict[bytes, int] = {}

    def knows(self, place: Place) -> bool:
        """Whether the GPU does."""
        framed = place.state or self._frames_at + 2 * place.frame + 1 in self._records
        return bool(framed) and self._index(place) in self._records

    @property
    def filled(self) -> float:
        """Which share of the room is taken."""
        records = (self._end - self._records_at) / (WORDS - self._records_at)
        return max(records, len(self._masks) / self._most_masks)

    def write(self, place: Place, known: Description) -> bool:
        """Tell the GPU of a state; False: there is no room."""
        rule = self._rule(known.mask)
        if rule is None:
            return False
        index = self._index(place)
        self._rules[index] = rule
        return self._put(
            index,
            [rule, len(known.by_class), len(known.pairs), *known.by_class, *flat(known.pairs)],
        )

    def write_frame(self, place: Place, ends: dict[int, int]) -> bool:
        """Tell the GPU of what is around a text in quotes; False: there is no room."""
        index = self._frames_at + 2 * place.frame
        if self._ends.get(index) == len(ends):
            return True  # as it was
        self._ends[index] = len(ends)
        self._write(index, [place.kind])
        return self._put(index + 1, [len(ends), *flat(ends)])

    def stand(self, number: int, place: Place, slot: int = 0) -> None:
        """Let a slot be in a state that the GPU knows."""
        self._write(slot, [number])
        rule = self._rules[self._index(place)]
        self.device.write(self.masks, 4 * slot, array("I", [rule]).tobytes())

    def _index(self, place: Place) -> int:
        if place.state:
            return SLOTS + place.state
        return self._places_at + self._terms * place.kind + place.term

    def _put(self, index: int, words: Sequence[int]) -> bool:
        at, room = self._records.get(index, (0, 0))
        if len(words) > room:
            at, room = self._end, len(words) + SLACK
            if at + room > WORDS:
                return False
            self._end += room
            self._records[index] = at, room
            self._write(index, [at])
        self._write(at, words)
        return True

    def _rule(self, mask: bytes | int) -> int | None:
        if isinstance(mask, int):
            return ONLY | mask
        at = self._masks.get(mask)
        if at is None:
            if len(self._masks) == self._most_masks:
                return None
            at = self._masks[mask] = SLOTS + self._mask_words * len(self._masks)
            self.device.write(self.masks, 4 * at, mask)
        return at

    def _write(self, at: int, words: Sequence[int]) -> None:
        self.device.write(self._table, 4 * at, array("I", words).tobytes())

    def follow(self, step: Buffer) -> Dispatch:
        """Go where the token that was just drawn leads."""
        return Dispatch(
            kernel(
                "sample_follow",
                STEP_ROWS=ROWS_AT,
                RING=RING,
                RING_SLOTS=self._ring_slots,
                SLOTS=SLOTS,
                STATES=self._states,
                TERMS=self._terms,
                FRAMES_AT=self._frames_at,
                PLACES_AT=self._places_at,
            ),
            {
                "step": step,
                "ring": self._ring,
                "masks": self.masks,
                "automaton": self._table,
                "classes": self._classes,
            },
            (1, 1, 1),
        )


def flat(pairs: dict[int, int]) -> Iterator[int]:
    """The keys of a dictionary, its value behind each."""
    for pair in pairs.items():
        yield from pair
