"""What is known of a state of a grammar's automaton, and where that belongs."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["ENDS", "INSIDE", "Description", "Place", "Sizes"]

INSIDE, ENDS = 1 << 30, 1 << 31
"""Of a word about what is behind a token inside of quotes: the number of a term, the frame stays;
or a way out, which depends on the frame. Other words are numbers of states."""


@dataclass(frozen=True)
class Sizes:
    """How many of each there may be.

    Attributes:
        states: numbers of states outside of quotes, from 1 on.
        terms: of texts in quotes.
        frames: of what is around a text in quotes.
        kinds: of frames, by what they allow behind the quote.
    """

    states: int = 1 << 14
    terms: int = 1 << 10
    frames: int = 1 << 12
    kinds: int = 1 << 6


class Place(NamedTuple):
    """Where a state's description belongs: a number of its own; or in quotes a frame, and the
    description is that of the term and the kind of the frame."""

    state: int = 0
    frame: int = 0
    term: int = 0
    kind: int = 0


@dataclass
class Description:
    """What is known of a state.

    Attributes:
        mask: the tokens that may be drawn, see ``TokenMasks.mask``, or the only one.
        by_class: what is behind the tokens of each class, 0 where it is not known; empty if it is
            of none.
        pairs: of other tokens, what is behind each.
        wide: whether there are many tokens, most of which have classes.
        looked: whether tokens were looked up that have not been met.
    """

    mask: bytes | int
    by_class: array[int] = field(default_factory=lambda: array("I"))
    pairs: dict[int, int] = field(default_factory=dict)
    wide: bool = False
    looked: bool = True
