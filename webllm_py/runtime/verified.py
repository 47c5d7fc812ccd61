"""Decoding where a constraint rarely has a say: steps run ahead, and their tokens are verified.

Text around calls and tags is free, and a model that knows a form keeps to it, so most tokens would
be the same without a mask. Within a text value a constraint allows the same tokens again and again:
there steps run ahead under its mask. A token that was drawn under another mask than its own, where
that could make a difference, is dropped with all behind it, and drawn again. A draw is the greatest
of the allowed tokens' values, so what is the greatest of more tokens, and allowed, is that too.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from webllm_py.models.step import Row
from webllm_py.runtime.run import Run
from webllm_py.runtime.speculation import Speculation
from webllm_py.runtime.stepwise import Constraint

__all__ = ["verified"]

Pieces = AsyncGenerator[tuple[int, list[int]], None]
# Steps in flight under one mask: what is dropped costs as much as it would have brought.
FEW_AHEAD, MANY_AHEAD = 2, 16
# Draws in a row with the same mask before steps run ahead under it.
SOON, LATE = 2, 64


class Pace:
    """How far to run ahead under one mask, and when to begin, by what it has brought so far.

    Going back at the end of a run costs two or three waits for the GPU, which a GPU that is quick
    beside its host does not make up for within a short text.

    Attributes:
        needed: draws in a row with the same mask before steps run ahead under it.
    """

    def __init__(self) -> None:
        self.needed = SOON
        self._length = 2.0 * FEW_AHEAD
        self._seconds = 0.0  # of a token that is drawn under its own mask

    @property
    def ahead(self) -> int:
        """Most steps in flight."""
        return max(FEW_AHEAD, min(MANY_AHEAD, int(self._length / 2)))

    def stepped(self, length: int, seconds: float) -> None:
        """So many tokens were drawn, each under its mask."""
        new = seconds / length
        self._seconds = (self._seconds + new) / 2 if self._seconds else new

    def ran(self, length: int, seconds: float) -> None:
        """So many tokens of a run under one mask were right; going back is in the time."""
        self._length = (self._length + length) / 2
        slow = seconds > length * self._seconds
        self.needed = min(2 * self.needed, LATE) if slow else SOON


class Verified:
    """The only answer's tokens, under one constraint. Nothing but the logits may decide about a
    draw: a penalty on what was drawn would count what is dropped.

    Args:
        stepwise: draws the next tokens under masks, and tells the constraint of them.
        guess: whether tokens of free text may be guessed and verified several at a time.
        cut: whether unlikely tokens are cut off, of those that a mask allows: then a draw under
            another mask than its own tells nothing, except in free text.
    """

    def __init__(
        self,
        run: Run,
        constraint: Constraint,
        stepwise: Callable[[], Pieces],
        *,
        guess: bool,
        cut: bool,
    ):
        self.run = run
        self.constraint = constraint
        self.stepwise = stepwise
        self.guess = guess
        self.cut = cut
        self._pace = Pace()
        self._count = run.issued
        self._careful = False
        self._over = False
        self._mask, self._same = b"", 0
        self._every_token = b"\xff" * (4 * -(-run.decoder.sampler.vocab_size // 32))

    async def tokens(self) -> Pieces:
        """All of them."""
        run = self.run
        most_ahead = run.most_ahead
        while run.issued < run.max_tokens:
            before, run.most_ahead, steady = self._count, most_ahead, False
            begun = time.perf_counter()
            if self._careful or not (self.constraint.is_free or self._steady):
                pieces = self._drawn()
            elif self.constraint.is_free:
                pieces = self._ahead(self._every_token, guess=self.guess)
            else:
                steady, run.most_ahead = True, self._pace.ahead
                pieces = self._ahead(self._mask, guess=False)
            async with aclosing(pieces):
                async for piece in pieces:
                    self._count += len(piece[1])
                    yield piece
            if self._over:
                return
            await go_back(run, self._count)
            if steady:
                self._pace.ran(self._count - before, time.perf_counter() - begun)

    @property
    def _steady(self) -> bool:
        return self._same >= self._pace.needed

    async def _drawn(self) -> Pieces:
        """Draw under masks, until steps may run ahead."""
        self._careful, self._same, self._over = False, 0, True
        last = 0.0
        async with aclosing(self.stepwise()) as pieces:
            async for piece in pieces:
                before, last = last, time.perf_counter()
                if before:
                    self._pace.stepped(len(piece[1]), last - before)
                yield piece
                mask = self.constraint.mask()
                self._same = self._same + 1 if mask == self._mask else 0
                self._mask = mask
                if self.constraint.is_free or self._steady:
                    self._over = False
                    return

    async def _ahead(self, mask: bytes, *, guess: bool) -> Pieces:
        """Run ahead under one mask, as long as its draws are right."""
        self._over = True
        self.run.decoder.sampler.mask(mask)
        async with aclosing(self.run.ahead(guess=guess)) as pieces:
            async for index, tokens in pieces:
                allowed = self._right(tokens, mask)
                if allowed:
                    yield index, allowed
                if len(allowed) < len(tokens):
                    self._careful, self._over = True, False
                    return

    def _right(self, tokens: list[int], mask: bytes) -> list[int]:
        """The tokens up to the first that may be another than under its own mask."""
        constraint, any_token = self.constraint, mask is self._every_token
        for place, token in enumerate(tokens):
            if not any_token and not self._covers(mask):
                return tokens[:place]
            if not constraint.accept(token):
                return tokens[:place]
        return tokens

    def _covers(self, mask: bytes) -> bool:
        """Whether an allowed token that was drawn under a mask would be drawn under its own too."""
        if self.constraint.is_free:
            return False
        own = self.constraint.mask()
        return own == mask or (not self.cut and within(own, mask))


def verified(
    run: Run, constraint: Constraint, stepwise: Callable[[], Pieces], *, guess: bool, cut: bool
) -> Pieces:
    """Tokens of a run's only answer; see ``Verified``."""
    return Verified(run, constraint, stepwise, guess=guess, cut=cut).tokens()


def within(one: bytes, other: bytes) -> bool:
    """Whether all bits of one are set in the other."""
    return not int.from_bytes(one, "little") & ~int.from_bytes(other, "little")


async def go_back(run: Run, count: int) -> None:
    """Forget all but the first tokens of the only answer, and what is in flight; then compute the
    hidden state from which the next one is drawn."""
    await run.close()
    run.speculation = Speculation(run)
    (sequence,) = run.sequences
    drawn = [*sequence.tokens[len(run.prompt) :], *run.newest.values()]
    text = [*run.prompt, *drawn[:count]]
    run.newest.clear()
    run.issued = 0
    sequence.tokens[:] = text
    if count:
        await run.go_on_behind(drawn[:count], hidden=True)
    else:
        run.executor.write_rows([Row(text[-1], len(text) - 1)])
        run.device.replay(await run.executor.forward_plan(1, adapted=run.decoder.adapted))
