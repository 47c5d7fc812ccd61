"""One request's answer: tokens drawn, decoded, cut at stop strings, and put into responses."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Container, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from webllm_py.api import FinishReason, GenerationRequest, Responses, StopFilter, Timings, Usage
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generate import GenerationStats, generate
from webllm_py.runtime.settings import SamplingSettings
from webllm_py.tokenizer import StreamDecoder, Tokenizer

if TYPE_CHECKING:
    from webllm_py.grammar import Matcher, TokenMasks

__all__ = ["Answer", "Prompt"]


@dataclass(frozen=True)
class Prompt:
    """A prompt's tokens, and how its answer's text begins.

    Attributes:
        continues: whether the answer goes on with a text that is already there, so that a leading
            space stays.
        echo: text that comes before the answer.
        shown: control tokens whose text is part of the answer's.
    """

    tokens: Sequence[int]
    continues: bool = False
    echo: str = ""
    shown: frozenset[int] = frozenset()


class Choice:
    """One of a request's answers, as far as it has come.

    Attributes:
        finish: why it ended; None while it goes on.
    """

    def __init__(
        self,
        index: int,
        decoder: StreamDecoder,
        stops: StopFilter,
        ends: Container[int],
        least: int = 0,
    ):
        self.index = index
        self.stats = GenerationStats()
        self.text: list[str] = []
        self.finish: FinishReason | None = None
        self._decoder = decoder
        self._stops = stops
        self._ends = ends
        self._least = least  # tokens before which no stop string counts

    def push(self, tokens: Sequence[int]) -> str:
        """Text of the next tokens that may be shown; ``finish`` is set where it ends in them."""
        text = ""
        for used, token in enumerate(tokens, start=1):
            stopped = token in self._ends
            if not stopped:
                shown = self._decoder.push(token)
                if self.stats.generated - len(tokens) + used > self._least:
                    shown, stopped = self._stops.push(shown)
                text += shown
            if stopped:
                self.stats.generated -= len(tokens) - used
                self.finish = "stop"
                break
        return text

    def end(self, finish: FinishReason) -> str:
        """Text that was held back, once no more tokens come."""
        shown, stopped = self._stops.push(self._decoder.flush())
        self.finish = self.finish or ("stop" if stopped else finish)
        return shown + self._stops.flush()


class Answer:
    """Answers one request: one prompt after the other, its ``n`` answers together.

    Args:
        masks: of the vocabulary, for a request with a grammar.
        submitted: when the request was made, ``time.perf_counter`` seconds.
        interrupted: asked now and then; True ends the answer with the finish reason "abort".
    """

    def __init__(
        self,
        executor: Executor,
        tokenizer: Tokenizer,
        request: GenerationRequest,
        prompts: Sequence[Prompt],
        responses: Responses[Any, Any],
        *,
        masks: TokenMasks | None = None,
        submitted: float,
        interrupted: Callable[[], bool],
    ):
        self.executor = executor
        self.tokenizer = tokenizer
        self.request = request
        self.prompts = prompts
        self.responses = responses
        self.masks = masks
        self.submitted = submitted
        self.interrupted = interrupted
        self.stats: list[GenerationStats] = []
        self.choices: list[Choice] = []

    async def pieces(self) -> AsyncGenerator[Any, None]:
        """The pieces of a streamed answer."""
        for prompt in self.prompts:
            for choices in self._groups(prompt):
                for choice in choices:
                    for piece in self.responses.opening(choice.index):
                        yield piece
                async with aclosing(self._texts(choices, prompt)) as texts:
                    async for choice, text in texts:
                        for piece in self.responses.text(choice.index, text) if text else ():
                            yield piece
                        if choice.finish:
                            for piece in self.responses.finish(choice.index, choice.finish):
                                yield piece
        if self.request.include_usage:
            yield self.responses.usage(self.usage())

    async def whole(self) -> Any:
        """The answer in one."""
        for prompt in self.prompts:
            for choices in self._groups(prompt):
                async with aclosing(self._texts(choices, prompt)) as texts:
                    async for choice, text in texts:
                        choice.text.append(text)
        finished = [("".join(c.text), c.finish or "length") for c in self.choices]
        return self.responses.whole(finished, self.usage())

    def usage(self) -> Usage:
        """Tokens and times of everything so far."""
        prompt_tokens = sum(len(prompt.tokens) for prompt in self.prompts)
        drawn = sum(stats.generated for stats in self.stats)
        firsts = [stats.first_token for stats in self.stats if stats.first_token]
        timings = Timings.measure(
            submitted=self.submitted,
            started=self.stats[0].began if self.stats else self.submitted,
            first_token=firsts[0] if firsts else None,
            finished=max((stats.last_token for stats in self.stats), default=0.0)
            or time.perf_counter(),
            prefilled_tokens=sum(s.prompt_tokens - s.cached_tokens for s in self.stats[:1]),
            completion_tokens=drawn,
        )
        cached = sum(s.cached_tokens for s in self.stats[:: self.request.n])
        return Usage.count(prompt_tokens, drawn, cached_tokens=cached, timings=timings)

    def _limit(self, prompt: Prompt) -> int:
        """Most tokens of an answer."""
        room = self.executor.context_length - len(prompt.tokens)
        return room if self.request.max_tokens is None else min(room, self.request.max_tokens)

    def _groups(self, prompt: Prompt) -> Iterator[list[Choice]]:
        """A prompt's choices, as many at a time as are decoded together."""
        together = 1
        if not self.request.sampling.reads_text and not self.request.grammar:
            together = self.executor.together(len(prompt.tokens), max(1, self._limit(prompt)))
        for first in range(0, self.request.n, together):
            group = [
                Choice(
                    len(self.choices) + i,
                    self.tokenizer.decoder(continues=prompt.continues, shown=prompt.shown),
                    StopFilter(self.request.stop),
                    frozenset() if self.request.ignore_eos else self.tokenizer.end_ids,
                    self.request.sampling.min_tokens,
                )
                for i in range(min(together, self.request.n - first))
            ]
            self.choices += group
            yield group

    def _constraint(self) -> Matcher | None:
        """What a choice's text must be."""
        if self.request.grammar is None:
            return None
        from webllm_py.grammar import Matcher  # not before it is needed, see api/requests.py

        return Matcher(self.request.grammar, self.masks)

    def _settings(self, choice: Choice) -> SamplingSettings:
        """The request's settings; a prompt's choices draw differently from one seed."""
        sampling = self.request.sampling
        number = choice.index % self.request.n
        if sampling.seed is None or number == 0:
            return sampling
        return replace(sampling, seed=sampling.seed + number)

    async def _texts(
        self, choices: Sequence[Choice], prompt: Prompt
    ) -> AsyncGenerator[tuple[Choice, str], None]:
        """Texts of choices as they come; the last one of each sets how it finished."""
        limit = self._limit(prompt)
        if prompt.echo:
            for choice in choices:
                yield choice, prompt.echo
        if limit and not self.interrupted():
            async with aclosing(self._drawn(choices, prompt, limit)) as drawn:
                async for choice, text in drawn:
                    yield choice, text
        for choice in choices:
            if not choice.finish:
                if choice.stats.generated >= limit:
                    yield choice, choice.end("length")
                else:  # a grammar may have no more to say, to a model that has no token for it
                    yield choice, choice.end("abort" if self.interrupted() else "stop")

    async def _drawn(
        self, choices: Sequence[Choice], prompt: Prompt, limit: int
    ) -> AsyncGenerator[tuple[Choice, str], None]:
        """Texts of choices as their tokens are drawn, and the ends of those that stop."""
        ended: set[int] = set()
        self.stats += [choice.stats for choice in choices]
        batches = generate(
            self.executor,
            prompt.tokens,
            [self._settings(choice) for choice in choices],
            max_tokens=limit,
            stats=[choice.stats for choice in choices],
            ended=ended,
            guess=self.request.prompt_lookup,
            constraint=self._constraint(),
            vocabulary=self.tokenizer,
            interrupted=self.interrupted,
        )
        async with aclosing(batches):
            async for number, tokens in batches:
                choice = choices[number]
                text = choice.push(tokens)
                if choice.finish:
                    text += choice.end("stop")
                    ended.add(number)
                if text or choice.finish:
                    yield choice, text
                if len(ended) == len(choices):
                    break
