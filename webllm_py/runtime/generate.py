"""From a prompt's tokens to drawn tokens: prefill, then decode, several answers at a time."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webllm_py.gpu.owner import BufferOwner
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.pages import Sequence as CachedSequence
from webllm_py.runtime.run import MOST_AHEAD, Run
from webllm_py.runtime.settings import SamplingSettings
from webllm_py.runtime.stepwise import Constraint, Stepwise, Vocabulary

if TYPE_CHECKING:
    from webllm_py.runtime.logprobs import TokenLogprob

__all__ = ["GenerationStats", "generate"]


@dataclass
class GenerationStats:
    """What one answer took. Times are ``time.perf_counter`` seconds.

    Attributes:
        logprobs: of each token, as they arrive, where they were asked for.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated: int = 0
    began: float = field(default_factory=time.perf_counter)
    first_token: float = 0.0
    last_token: float = 0.0
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def drew(self, n: int) -> None:
        """``n`` more tokens arrived."""
        self.generated += n
        self.last_token = time.perf_counter()
        self.first_token = self.first_token or self.last_token


async def generate(
    executor: Executor,
    prompt: Sequence[int],
    settings: Sequence[SamplingSettings],
    *,
    max_tokens: int,
    stats: Sequence[GenerationStats],
    ended: Container[int] = (),
    most_ahead: int = MOST_AHEAD,
    guess: bool = True,
    constraints: Sequence[Constraint] = (),
    vocabulary: Vocabulary | None = None,
    logprobs: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[tuple[int, list[int]], None]:
    """Answers to one prompt, decoded together: which one, and tokens drawn for it, as they arrive.

    The caller stops by closing the generator: steps in flight are waited for, tokens that were
    yielded stay in the cache, later ones are forgotten.

    Args:
        settings: of each answer; at most ``executor.together`` of them.
        max_tokens: most tokens of an answer.
        stats: of each answer, to be filled in.
        ended: answers that need no more tokens; looked at after each yield.
        most_ahead: tokens submitted before the first of them is read; 1 waits for each.
        guess: whether tokens may be guessed from the text so far and verified several at a time.
        constraints: what each answer's text must be; none for any text.
        vocabulary: what is known of tokens, for settings and constraints that are about texts.
        logprobs: how many alternatives ``stats`` gets with each token's log-probability; None: it
            gets neither.
        interrupted: asked between chunks of the prompt and batches of tokens; True ends it.
    """
    n = len(settings)
    scratch = BufferOwner(executor.device)
    decoder = await decoder_for(executor, scratch, settings, logprobs)
    sequences: list[CachedSequence] = []
    run = Run(decoder, sequences, list(prompt), max_tokens, ended, most_ahead)
    run.logprobs = [own_stats.logprobs for own_stats in stats]
    try:
        steps = Stepwise(run, settings[0], constraints, vocabulary)
        for slot, own in enumerate(settings):
            decoder.sampler.begin(
                own,
                prompt,
                slot,
                masked=bool(constraints),
                biased=bool(steps.rules),
                ends=vocabulary.end_ids if vocabulary else (),
            )
        sequences.append(executor.cache.begin(prompt))
        for own_stats in stats:
            own_stats.prompt_tokens = len(prompt)
            own_stats.cached_tokens = len(sequences[0].tokens)
        async for _ in executor.prefill(sequences[0], prompt[len(sequences[0].tokens) :]):
            if interrupted():
                return
        for slot in range(1, n):
            sequences.append(await executor.cache.fork(sequences[0], slot))
        executor.go_on(sequences[0], n)
        guess = guess and not settings[0].mirostat_tau
        masks_rarely = n == 1 and settings[0].memoryless and logprobs is None
        if masks_rarely and constraints and constraints[0].is_free:
            from webllm_py.runtime.verified import verified  # not before it is needed

            pieces = verified(run, constraints[0], steps.tokens, guess=guess)
        elif steps.needed:
            pieces = steps.tokens()
        else:
            pieces = run.ahead(guess=guess)
        async for index, tokens in pieces:
            stats[index].drew(len(tokens))
            yield index, tokens
            if interrupted():
                return
    finally:
        try:
            await run.close()
        finally:
            for sequence in sequences:
                if executor.device.lost:
                    executor.cache.pages.release(sequence)
                else:
                    executor.cache.pages.finish(sequence)
            decoder.forget_logprobs()
            if decoder is not executor.decoder:
                executor.drop_plans(decoder)
            scratch.free_all()


async def decoder_for(
    executor: Executor,
    scratch: BufferOwner,
    settings: Sequence[SamplingSettings],
    logprobs: int | None,
) -> Decoder:
    """What decodes so many answers together, and finds log-probabilities with so many alternatives;
    more than one answer, and these, take memory of ``scratch``."""
    n = len(settings)
    if n == 1 and logprobs is None:
        return executor.decoder
    try:
        decoder = executor.decoder if n == 1 else Decoder(executor, scratch, n)
        if logprobs is not None:
            processed = bool(settings[0].logits_processors)
            decoder.find_logprobs(scratch, logprobs, processed=processed)
        await executor.device.check()
    except BaseException:
        executor.decoder.forget_logprobs()
        scratch.free_all()
        raise
    return decoder
