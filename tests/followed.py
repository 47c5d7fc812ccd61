"""What kernels/sample_follow.wgsl does, in Python: an automaton's words are read as a GPU does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webllm_py.grammar.records import (
    COMPLETE,
    FALLS,
    FORCED,
    HERE,
    INSIDE,
    LAST,
    OVER,
    RELATIVE,
    STOP,
    UNKNOWN,
    Sizes,
)


class MissingError(Exception):
    """There is no way on without what is known of ``state``."""

    def __init__(self, state: int):
        self.state = state


class StoppedError(Exception):
    """The host goes on from here."""


class Followed:
    """Reads words that may grow, but not change otherwise."""

    def __init__(self, words: Sequence[int], sizes: Sizes, longest: int = LAST):
        self.words = words
        self.longest = longest
        self.sizes = sizes
        self._behind: dict[tuple[int, int], int] = {}

    def _place(self, state: int) -> tuple[int, int]:
        return divmod(state - self.sizes.states, self.sizes.terms)

    def _record(self, state: int) -> int:
        sizes = self.sizes
        inside = state >= sizes.states
        record = self.words[sizes.terms_at + self._place(state)[1] if inside else state]
        if not record:
            raise MissingError(state)
        return record

    def _outside(self, state: int) -> int:
        found = self.words[self.sizes.frames_at + 2 * self._place(state)[0]]
        if not found:
            raise MissingError(state)
        return found

    def behind(self, state: int, byte: int) -> int:
        """The state behind a byte, 0 where it is refused."""
        found = self._behind.get((state, byte))
        if found is None:
            found = self._behind[state, byte] = self._read(state, byte)
        return found

    def _read(self, state: int, byte: int) -> int:
        record = self._record(state)
        kinds = self.words[self.words[record + 1] + byte // 4]
        word = self.words[record + 4 + (kinds >> 8 * (byte % 4) & 255)]
        if state < self.sizes.states:
            if word == UNKNOWN:
                raise MissingError(state)
            return word
        if word & INSIDE and word & RELATIVE:
            return state + (word & RELATIVE - 1) - HERE
        if word & INSIDE:
            return state - self._place(state)[1] + (word & ~INSIDE)
        if word & OVER:
            return self._outside(state)
        if self.words[record] & FALLS:
            return self.behind(self._outside(state), byte)
        return 0

    def behind_text(self, state: int, text: bytes) -> int:
        for byte in text:
            if not state:
                break
            state = self.behind(state, byte)
        return state

    def complete(self, state: int, *, early: bool = False) -> bool:
        """Whether the text may end in a state; where it is early, and cannot go on."""
        record = self._record(state)
        if early and self.words[record + 3] > 1:
            return False
        if state < self.sizes.states:
            return bool(self.words[record] & COMPLETE)
        return bool(self.words[record] & FALLS) and self.complete(self._outside(state), early=early)

    def ends(self) -> Sequence[int]:
        at = self.sizes.ends_at
        return self.words[at + 1 : at + 1 + self.words[at]]

    def arrive(self, state: int) -> tuple[int, int]:
        """Where a text goes on: a state, and where its next certain token is, or 0."""
        record = self._record(state)
        spelling = self.words[record + 2]
        if state >= self.sizes.states and self.words[record] & FORCED:
            frame, term = self._place(state)
            spellings = self.words[self.sizes.frames_at + 2 * frame + 1]
            pairs = dict(self._pairs(spellings) if spellings else ())
            if term not in pairs:
                raise MissingError(state)
            spelling = pairs[term]
        if spelling == STOP:
            raise StoppedError
        if not spelling:
            return state, 0
        target, chain, count = self.words[spelling : spelling + 3]
        if count > self.longest:
            raise StoppedError
        if target & INSIDE:
            target = state - self._place(state)[1] + (target & ~INSIDE)
        return target, chain

    def _pairs(self, at: int) -> Iterator[tuple[int, int]]:
        for i in range(self.words[at]):
            yield self.words[at + 1 + 2 * i], self.words[at + 2 + 2 * i]

    def follow(self, place: tuple[int, int], token: int, text: bytes) -> tuple[int, int]:
        """Where a token leads."""
        state, chain = place
        if chain:
            following = self.words[chain + 1] != LAST
            return (state, chain + 1) if following else self.arrive(state)
        behind = self.behind_text(state, text) if text else 0
        if not behind:
            raise StoppedError
        return self.arrive(behind)

    def allows(self, state: int, token: int, text: bytes, *, early: bool = False) -> bool:
        """Whether a token may come next."""
        if text:
            return bool(self.behind_text(state, text))
        return token in self.ends() and self.complete(state, early=early)

    def allowed(self, state: int, tokens: Sequence[bytes], *, early: bool = False) -> set[int]:
        """The tokens that may come next."""
        texts = enumerate(tokens)
        return {token for token, text in texts if self.allows(state, token, text, early=early)}

    def missing(self, state: int, tokens: Sequence[bytes], *, early: bool = False) -> set[int]:
        """The states that it takes to tell."""
        found = set()
        for token, text in enumerate(tokens):
            try:
                self.allows(state, token, text, early=early)
            except MissingError as error:
                found.add(error.state)
        return found

    def only(self, place: tuple[int, int]) -> int | None:
        """The only token that may come next, where a spelling says so."""
        return self.words[place[1]] if place[1] else None
