"""One request's answer: generates its choices, and builds responses of them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from webllm_py.api import (
    Finished,
    FinishReason,
    ScoredToken,
    Scores,
    StopFilter,
    Usage,
)
from webllm_py.api.inspected import NOT_INSPECTED, Inspected
from webllm_py.engine.choice import Choice, Placed
from webllm_py.engine.generation import Generation, Revived
from webllm_py.engine.prompts import PreparedRequest, Prompt
from webllm_py.engine.usage import usage_of
from webllm_py.errors import ContextLengthError
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.stepwise import StepTimes
from webllm_py.runtime.kv.pages import Mix
from webllm_py.runtime.sampling.settings import SamplingSettings
from webllm_py.tokenizer import Tokenizer
from webllm_py.units import counted

if TYPE_CHECKING:
    from webllm_py.fetch.store.kept_answers import KeptAnswer, Said
    from webllm_py.grammar import TokenMasks

__all__ = ["Answer"]


# Most tokens of an answer whose conversation may outgrow its context.
ENDLESS = 1 << 24


class Answer:
    """Answers one request: one prompt after the other, the ``n`` choices of each together.

    Args:
        masks: token masks of the vocabulary, for a request with a grammar.
        adapters: gives the request's adapters, as the current executor numbers them.
        submitted: when the request was made, in ``time.perf_counter`` seconds.
        interrupted: asked now and then; True ends the answer with the finish reason "abort".
        revived: gives the executor that takes over from one whose device is lost.
        known: what another process stored of this answer before it ended; it goes on after that.

    Attributes:
        seed: of its draws, if the request has none.
    """

    def __init__(
        self,
        executor: Executor,
        tokenizer: Tokenizer,
        prepared: PreparedRequest,
        *,
        masks: TokenMasks | None = None,
        adapters: Callable[[], Mix] = lambda: (),
        submitted: float,
        interrupted: Callable[[], bool],
        revived: Revived,
        known: KeptAnswer | None = None,
    ):
        request = prepared.request
        self.generation = Generation(
            executor, tokenizer, request, masks, adapters, interrupted, revived
        )
        self.tokenizer = tokenizer
        self.request = request
        self.prompts = prepared.prompts
        self.responses = prepared.responses
        self.submitted = submitted
        self.interrupted = interrupted
        self.choices: list[Choice] = []
        self.seed: int = known.head["seed"] if known else secrets.randbits(62)
        # Log-probabilities are not stored: an answer with them begins anew.
        self._known: Said = known.said if known and request.logprobs is None else []

    @property
    def executor(self) -> Executor:
        """The current executor; another one after the loss of a device."""
        return self.generation.executor

    @property
    def said(self) -> Said:
        """What can be stored of it, to be ``known`` to another process."""
        return [(one.tokens, one.finish, one.stats.generated) for one in self.choices]

    def _retold(self, choice: Choice) -> str:
        """The text of the known tokens of a choice."""
        if choice.index >= len(self._known):
            return ""
        tokens, finish, generated = self._known[choice.index]
        text = choice.push(tokens)
        choice.stats.generated = generated
        if choice.finish or finish:
            text += choice.end(cast(FinishReason, finish or "stop"))
        return text

    async def pieces(self) -> AsyncGenerator[Any, None]:
        """The pieces of a streamed answer, as ``responses`` builds them."""
        for prompt in self.prompts:
            async for choices in self._groups(prompt):
                for choice in choices:
                    for piece in self.responses.opening(choice.index):
                        yield piece
                async with aclosing(self._texts(choices, prompt)) as texts:
                    async for choice, text in texts:
                        for piece in self._pieces_of(choice, text):
                            yield piece
                for choice in choices if self.request.inspects else ():  # when no steps are left
                    seen = await self._inspected(choice, prompt)
                    finish = choice.finish or "length"
                    for piece in self.responses.finish(choice.index, finish, seen):
                        yield piece
        if self.request.include_usage:
            yield self.responses.usage(self.usage())

    def _pieces_of(self, choice: Choice, text: str) -> Iterator[Any]:
        """The pieces of a choice's new text, and of its end."""
        scores = self._scores(choice)
        if text or scores:
            yield from self.responses.text(choice.index, text, scores)
        if choice.finish and not self.request.inspects:
            yield from self.responses.finish(choice.index, choice.finish)

    async def whole(self) -> Any:
        """The answer as one response."""
        for prompt in self.prompts:
            async for choices in self._groups(prompt):
                async with aclosing(self._texts(choices, prompt)) as texts:
                    async for choice, text in texts:
                        choice.text.append(text)
        finished = [
            Finished(
                "".join(choice.text),
                choice.finish or "length",
                self._scores(choice),
                await self._inspected(choice, self.prompts[choice.index // self.request.drawn]),
            )
            for choice in self._best()
        ]
        return self.responses.whole(finished, self.usage())

    def _best(self) -> list[Choice]:
        """The choices to return: of each prompt the ``n`` likeliest, where more were generated."""
        n, drawn = self.request.n, self.request.drawn
        if n == drawn:
            return self.choices
        found = []
        for first in range(0, len(self.choices), drawn):
            made = self.choices[first : first + drawn]
            found += sorted(made, key=lambda choice: -choice.logprob)[:n]
        return found

    def _scores(self, choice: Choice) -> Scores:
        """Log-probabilities of the tokens in a choice's new text; None if none are asked for."""
        if self.request.logprobs is None:
            return None
        data = self.tokenizer.token_bytes
        return [
            ScoredToken(
                offset,
                data(found.token),
                found.logprob,
                [(data(token), logprob) for token, logprob in found.top],
            )
            for offset, found in choice.placed()
        ]

    async def _inspected(self, choice: Choice, prompt: Prompt) -> Inspected:
        """Hidden states and attentions of a choice, if they are asked for. No steps may be under
        way."""
        if not self.request.inspects:
            return NOT_INSPECTED
        from webllm_py.engine.inspected import inspected  # not before: a page's snapshot is small

        tokens = [*prompt.tokens, *choice.tokens]
        return await self.generation.surviving(
            lambda executor: inspected(
                executor, self.request, tokens, self.interrupted, self.generation.adapters()
            )
        )

    def usage(self) -> Usage:
        """Tokens and times of all choices so far."""
        stats = [choice.stats for choice in self.choices]
        return usage_of(self.request, self.prompts, stats, self.submitted)

    def _limit(self, prompt: Prompt) -> int:
        """Most tokens of an answer."""
        room = self.executor.context_length - len(prompt.tokens)
        if self.executor.sliding:
            room = ENDLESS
        return room if self.request.max_tokens is None else min(room, self.request.max_tokens)

    async def _groups(self, prompt: Prompt) -> AsyncIterator[list[Choice]]:
        """A prompt's choices, as many at a time as are decoded together."""
        request, tokenizer = self.request, self.tokenizer
        together = 1
        # A choice that ends under rules has the others' last step repeated, which must be possible.
        stepwise = request.sampling.has_rules
        alone = request.sampling.logits_processors or (stepwise and not self.executor.goes_back)
        if not alone:
            together = self.executor.together(len(prompt.tokens), max(1, self._limit(prompt)))
        echo = prompt.echo, await self._echoed(prompt)
        for first in range(0, request.drawn, together):
            group = [
                Choice(
                    len(self.choices) + i,
                    tokenizer.decoder(continues=prompt.continues, shown=prompt.shown),
                    StopFilter(request.stop),
                    frozenset() if request.ignore_eos else tokenizer.end_ids | prompt.ends,
                    settings=self._settings(len(self.choices) + i),
                    echo=echo,
                    least=request.sampling.min_tokens,
                )
                for i in range(min(together, request.drawn - first))
            ]
            for choice in group if request.latency_breakdown else ():
                choice.stats.times = StepTimes()
            self.choices += group
            yield group

    async def _echoed(self, prompt: Prompt) -> list[Placed]:
        """Log-probabilities of the tokens of an echoed prompt, if they are asked for."""
        if not prompt.echoed or self.request.logprobs is None:
            return []
        # Not before: a page's snapshot is small.
        from webllm_py.runtime.inspection.scores import all_logprobs

        limit = self.executor.context_length
        if len(prompt.tokens) > limit:
            raise ContextLengthError(
                f"log-probabilities of a prompt can be had of {counted(limit, 'token')}, and this "
                f"one has {len(prompt.tokens):,}",
                param="prompt",
            )
        top = self.request.logprobs
        found = await self.generation.surviving(
            lambda executor: all_logprobs(
                executor, prompt.tokens, top, self.interrupted, self.generation.adapters()
            )
        )
        decoder, offset = self.tokenizer.decoder(skip_special=False), 0
        placed = []
        for place in prompt.echoed:
            placed.append((offset, found[place]))
            offset += len(decoder.push(prompt.tokens[place]))
        return placed

    def _settings(self, index: int) -> SamplingSettings:
        """The request's settings with a choice's seed: from one seed, each choice of a prompt draws
        differently; without one, every choice does."""
        sampling = self.request.sampling
        if sampling.seed is None:
            return replace(sampling, seed=self.seed + index)
        return replace(sampling, seed=sampling.seed + index % self.request.drawn)

    async def _texts(
        self, choices: Sequence[Choice], prompt: Prompt
    ) -> AsyncGenerator[tuple[Choice, str], None]:
        """Texts of choices as they come; the last one of each choice sets its ``finish``."""
        limit = self._limit(prompt)
        if prompt.echo:
            for choice in choices:
                yield choice, prompt.echo
        for choice in choices if self._known else ():
            if text := self._retold(choice):
                yield choice, text
        if limit and not self.interrupted():
            async with aclosing(self.generation.texts(choices, prompt.tokens, limit)) as drawn:
                async for choice, text in drawn:
                    yield choice, text
        for choice in choices:
            if not choice.finish:
                if choice.stats.generated >= limit:
                    yield choice, choice.end("length")
                else:  # a grammar may be at its end, in a model without a token that ends texts
                    yield choice, choice.end("abort" if self.interrupted() else "stop")
