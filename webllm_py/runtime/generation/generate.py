"""From a prompt's tokens to drawn tokens: prefill, then decode, several answers at a time."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Container, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webllm_py.gpu.owner import BufferOwner
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.constraints import Constraint, Vocabulary
from webllm_py.runtime.generation.in_flight import MOST_AHEAD
from webllm_py.runtime.generation.members import Member
from webllm_py.runtime.generation.prefill import retrace
from webllm_py.runtime.generation.run import Run
from webllm_py.runtime.generation.stepwise import StepTimes, Stepwise
from webllm_py.runtime.kv.pages import Mix
from webllm_py.runtime.kv.pages import Sequence as CachedSequence
from webllm_py.runtime.sampling.settings import SamplingSettings

if TYPE_CHECKING:
    from webllm_py.runtime.sampling.logprobs import TokenLogprob

__all__ = ["Decoding", "GenerationStats", "generate"]


@dataclass
class GenerationStats:
    """What one answer took. Times are ``time.perf_counter`` seconds.

    Attributes:
        generated: how many of its tokens count.
        unused: how many arrived with the one that ended it, and do not; whoever finds the end says
            so.
        logprobs: of each token, as they arrive, where they were asked for.
        times: to be filled in too, if wanted.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated: int = 0
    unused: int = 0
    began: float = field(default_factory=time.perf_counter)
    first_token: float = 0.0
    last_token: float = 0.0
    logprobs: list[TokenLogprob] = field(default_factory=list)
    times: StepTimes | None = None

    def drew(self, n: int) -> None:
        """``n`` more tokens arrived."""
        self.generated += n
        before, self.last_token = self.last_token, time.perf_counter()
        if self.times:
            self.times.tokens += [(self.last_token - (before or self.began)) / n] * n
        self.first_token = self.first_token or self.last_token


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded, and what has a say in their tokens.

    Attributes:
        most_ahead: tokens submitted before the first of them is read; 1 waits for each.
        guess: whether tokens may be guessed from the text so far and verified several at a time.
        constraints: what each answer's text must be; none for any text.
        vocabulary: what is known of tokens, for settings and constraints that are about texts.
        logprobs: how many alternatives ``GenerationStats`` gets with each token's log-probability;
            None: it gets neither.
    """

    most_ahead: int = MOST_AHEAD
    guess: bool = True
    constraints: Sequence[Constraint] = ()
    vocabulary: Vocabulary | None = None
    logprobs: int | None = None


async def generate(
    executor: Executor,
    prompt: Sequence[int],
    settings: Sequence[SamplingSettings],
    decoding: Decoding | None = None,
    *,
    max_tokens: int,
    stats: Sequence[GenerationStats],
    ended: Container[int] = (),
    shared: bool = False,
    adapters: Mix = (),
    interrupted: Callable[[], bool] = lambda: False,
    said: Sequence[int] = (),
) -> AsyncGenerator[tuple[int, list[int]], None]:
    """Answers to one prompt, decoded together: which one, and tokens drawn for it, as they arrive.

    The caller stops by closing the generator: steps in flight are waited for, tokens that were
    yielded stay in the cache, later ones are forgotten.

    Args:
        settings: of each answer; at most ``executor.together`` of them.
        decoding: None for the defaults.
        max_tokens: most tokens of an answer.
        stats: of each answer, to be filled in.
        ended: answers that need no more tokens; looked at after each yield.
        shared: whether other calls that are shared too may run at the same time; the answers of
            all are then decoded together. Not with a constraint, log-probabilities, ``min_tokens``
            or what has to see each token.
        adapters: what is added to the weights, for all of the answers.
        interrupted: asked between chunks of the prompt and batches of tokens; True ends it.
        said: tokens that the only answer has already, drawn on a device that was lost or in a
            process that ended: it goes on behind them as if nothing had been. They count in
            ``max_tokens``, and constraints know of them. Not with mirostat, whose state is lost.
    """
    member = Member(prompt, settings, max_tokens, stats, ended, interrupted, adapters, said)
    together = shared and executor.batch.busy
    if together:
        pieces = executor.batch.tokens(member)
    else:
        pieces = begun(executor, member, decoding or Decoding(), shared=shared)
    # Before anything is waited for: another one that began meanwhile would write the same steps.
    with executor.batch.one_alone() if shared and not together else nullcontext():
        async with aclosing(pieces):
            async for index, tokens in pieces:
                stats[index].drew(len(tokens))
                yield index, tokens
                if interrupted():
                    return


async def begun(
    executor: Executor, member: Member, decoding: Decoding, *, shared: bool
) -> AsyncGenerator[tuple[int, list[int]], None]:
    """``generate`` where nobody else does, at least to begin with."""
    settings, said = member.settings, member.said
    scratch = BufferOwner(executor.device)
    decoder = await decoder_for(executor, scratch, settings, decoding.logprobs)
    decoder.adapted = bool(member.adapters)
    run = Run(
        decoder, [], list(member.prompt), member.max_tokens, member.ended, decoding.most_ahead
    )
    run.logprobs = [stats.logprobs for stats in member.stats]
    try:
        times = member.stats[0].times
        steps = Stepwise(run, settings[0], decoding.constraints, decoding.vocabulary, said, times)
        sequence = begin_sequence(run, member, steps)
        chunks = retrace(executor, sequence, member.prompt, said)
        async with aclosing(chunks):
            async for _ in chunks:
                if member.interrupted():
                    return
        await go_on(run, len(settings), said, hidden=steps.needed)
        guess = decoding.guess and not settings[0].mirostat_tau and executor.goes_back
        if shared:
            pieces = executor.batch.joined_later(run, member, guess=guess)
        else:
            pieces = alone(run, steps, settings[0], guess, said)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    finally:
        await close(run, member, scratch)


def begin_sequence(run: Run, member: Member, steps: Stepwise) -> CachedSequence:
    """Set the sampler's slots and the adapters, and begin the prompt's sequence in the cache."""
    executor, vocabulary = run.executor, steps.vocabulary
    for slot, settings in enumerate(member.settings):
        run.decoder.sampler.begin(
            settings,
            member.prompt,
            slot,
            masked=bool(steps.places),
            biased=bool(steps.rules),
            ends=vocabulary.end_ids if vocabulary else (),
            said=member.said,
        )
    executor.use_adapters(range(len(member.settings)), member.adapters, alone=True)
    sequence = executor.cache.begin(member.known, adapters=member.adapters)
    run.sequences.append(sequence)
    for stats in member.stats:
        stats.prompt_tokens = len(member.prompt)
        stats.cached_tokens = min(len(member.prompt), sequence.read)
    return sequence


async def close(run: Run, member: Member, scratch: BufferOwner) -> None:
    """Wait for what is in flight, and give back what the run had."""
    executor, decoder = run.executor, run.decoder
    try:
        await run.close()
    finally:
        for sequence, stats in zip(run.sequences, member.stats, strict=False):
            executor.finish(sequence, stats.unused)
        decoder.forget_logprobs()
        if decoder is not executor.decoder:
            executor.plans.drop(decoder)
        scratch.free_all()


async def go_on(run: Run, answers: int, said: Sequence[int], *, hidden: bool) -> None:
    """Go on from the prompt: to its answers, or behind what was said of the only one.

    Args:
        answers: how many.
        hidden: see ``Run.go_on_behind``.
    """
    executor, first = run.executor, run.sequences[0]
    if said:
        await run.go_on_behind(said, hidden=hidden)
        return
    run.begin_at(len(first.tokens))
    for slot in range(1, answers):
        run.sequences.append(await executor.cache.fork(first, slot))
    executor.go_on(first, range(answers))


def alone(
    run: Run, steps: Stepwise, settings: SamplingSettings, guess: bool, said: Sequence[int]
) -> AsyncGenerator[tuple[int, list[int]], None]:
    """The tokens of a run that shares its steps with none, with as few waits for the GPU as what
    has a say in them allows."""
    for token in said if steps.places else ():
        steps.places[0].accept(token)
    if steps.needed:
        return steps.tokens()
    if not steps.places:
        return run.ahead(guess=guess)
    # not before they are needed
    from webllm_py.runtime.generation.constrained import Constrained
    from webllm_py.runtime.generation.verified import verified

    each_token = bool(run.decoder.slots > 1 or run.decoder.logprobs)
    goes_back = settings.memoryless and run.executor.goes_back and not each_token
    constrained = Constrained(run, steps.masks, each_token=each_token, free_elsewhere=goes_back)
    if goes_back:
        (place,) = steps.places
        return verified(run, place, constrained.tokens, guess=guess, cut=settings.cuts)
    return constrained.tokens()


async def decoder_for(
    executor: Executor,
    scratch: BufferOwner,
    settings: Sequence[SamplingSettings],
    logprobs: int | None,
) -> Decoder:
    """A decoder of an answer for each of the settings.

    Args:
        scratch: owns the buffers that several answers, or log-probabilities, need.
        logprobs: with how many alternatives log-probabilities are found; None: not at all.
    """
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
