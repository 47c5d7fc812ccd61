"""Decoding where a constraint rarely has a say: steps run ahead, and their tokens are verified.

Text around calls and tags is free, and a model that knows a form keeps to it, so most tokens would
be the same without a mask. A token that the constraint refuses is dropped with all behind it, and
drawn again under a mask. What is drawn has the distribution that masks on every step would give.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from webllm_py.models.step import Row
from webllm_py.runtime.run import Run
from webllm_py.runtime.speculation import Speculation
from webllm_py.runtime.stepwise import Constraint

__all__ = ["verified"]

Pieces = AsyncGenerator[tuple[int, list[int]], None]


async def verified(
    run: Run, constraint: Constraint, stepwise: Callable[[], Pieces], *, guess: bool
) -> Pieces:
    """The only answer's tokens. Nothing but the logits may decide about a draw: a penalty on what
    was drawn would count what is dropped.

    Args:
        stepwise: draws the next tokens under masks, and tells the constraint of them.
        guess: whether tokens may be guessed from the text so far and verified several at a time.
    """
    sampler = run.decoder.sampler
    every_token = b"\xff" * (4 * -(-sampler.vocab_size // 32))
    count, careful = run.issued, False
    while run.issued < run.max_tokens:
        masked, careful = careful or not constraint.is_free, False
        sampler.mask(every_token)
        pieces = stepwise() if masked else run.ahead(guess=guess)
        async with aclosing(pieces):
            async for index, tokens in pieces:
                allowed = tokens if masked else accepted(constraint, tokens)
                count += len(allowed)
                if allowed:
                    yield index, allowed
                careful = len(allowed) < len(tokens)
                if careful or (masked and constraint.is_free):
                    break
            else:
                return
        await go_back(run, count)


def accepted(constraint: Constraint, tokens: list[int]) -> list[int]:
    """The tokens up to the first that the constraint refuses."""
    for place, token in enumerate(tokens):
        if not constraint.accept(token):
            return tokens[:place]
    return tokens


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
        await run.go_on_behind(drawn[:count])
    else:
        run.executor.write_rows([Row(text[-1], len(text) - 1)])
        run.device.replay(await run.executor.forward_plan(1, adapted=run.decoder.adapted))
