"""Decoding where a constraint rarely has a say: steps run ahead, and their tokens are verified.

Text around calls and tags is free: most tokens would be the same without a mask. One that the
constraint refuses is dropped with all behind it, and drawn again under its mask. A draw is the
greatest of the allowed tokens' values, so what is the greatest of all tokens, and allowed, is that
too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from webllm_py.models.step import Row
from webllm_py.runtime.generation.constraints import Place
from webllm_py.runtime.generation.run import Run
from webllm_py.runtime.generation.speculation import Speculation

__all__ = ["verified"]

Pieces = AsyncGenerator[tuple[int, list[int]], None]


class Verified:
    """The only answer's tokens, under one constraint. Nothing but the logits may decide about a
    draw: a penalty on what was drawn would count what is dropped.

    Args:
        constrained: draws the next tokens under masks, and tells the constraint of them.
        guess: whether tokens of free text may be guessed and verified several at a time.
        cut: whether unlikely tokens are cut off, of those that a mask allows: then a draw without
            it tells nothing, except in free text.
    """

    def __init__(
        self,
        run: Run,
        constraint: Place,
        constrained: Callable[[], Pieces],
        *,
        guess: bool,
        cut: bool,
    ):
        self.run = run
        self.constraint = constraint
        self.constrained = constrained
        self.guess = guess
        self.cut = cut
        self._count = run.issued
        self._refused = False
        self._over = False

    async def tokens(self) -> Pieces:
        """All of them."""
        run = self.run
        while run.issued < run.max_tokens:
            free = self.constraint.is_free and not self._refused
            async with aclosing(self._ahead() if free else self._masked()) as pieces:
                async for piece in pieces:
                    self._count += len(piece[1])
                    yield piece
            if self._over:
                return
            await go_back(run, self._count)

    async def _masked(self) -> Pieces:
        """Draw under masks, until the text is free."""
        self._refused, self._over = False, True
        async with aclosing(self.constrained()) as pieces:
            async for piece in pieces:
                yield piece
                if self.constraint.is_free:
                    self._over = False
                    return

    async def _ahead(self) -> Pieces:
        """Run ahead without a mask, as long as the draws are allowed and the text is free."""
        self._over = True
        sampler = self.run.decoder.sampler
        sampler.mask(sampler.all_but(()))
        async with aclosing(self.run.ahead(guess=self.guess)) as pieces:
            async for index, tokens in pieces:
                allowed = self._allowed(tokens)
                if allowed:
                    yield index, allowed
                if len(allowed) < len(tokens):
                    self._over = False
                    return

    def _allowed(self, tokens: list[int]) -> list[int]:
        """The tokens up to the first that may be another than under its own mask."""
        for place, token in enumerate(tokens):
            if self.cut and not self.constraint.is_free:
                return tokens[:place]
            if not self.constraint.accept(token):
                self._refused = True
                return tokens[:place]
        return tokens


def verified(
    run: Run, constraint: Place, constrained: Callable[[], Pieces], *, guess: bool, cut: bool
) -> Pieces:
    """Tokens of a run's only answer; see ``Verified``."""
    return Verified(run, constraint, constrained, guess=guess, cut=cut).tokens()


async def go_back(run: Run, count: int) -> None:
    """Forget all but the first tokens of the only answer, and what is in flight; where none is
    left, compute the hidden state from which the first one is drawn."""
    await run.close()
    run.speculation = Speculation(run)
    (sequence,) = run.sequences
    drawn = [*sequence.tokens[len(run.prompt) :], *run.newest.values()]
    text = [*run.prompt, *drawn[:count]]
    run.newest.clear()
    run.issued = 0
    sequence.tokens[:] = text
    if count:
        await run.go_on_behind(drawn[:count], hidden=False)
    else:
        run.executor.write_rows([Row(text[-1], len(text) - 1)])
        run.device.replay(await run.executor.forward_plan(1, adapted=run.decoder.adapted))
