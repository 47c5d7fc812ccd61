"""One request's answer: tokens drawn, decoded, cut at stop strings, and put into responses."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Container, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from webllm_py.api import FinishReason, GenerationRequest, Responses, StopFilter, Timings, Usage
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generate import GenerationStats, generate
from webllm_py.runtime.settings import SamplingSettings
from webllm_py.tokenizer import StreamDecoder, Tokenizer

__all__ = ["Answer", "Prompt"]


@dataclass(frozen=True)
class Prompt:
    """A prompt's tokens, and how its answer's text begins.

    Attributes:
        continues: whether the answer goes on with a text that is already there, so that a leading
            space stays.
        echo: text that comes before the answer.
    """

    tokens: Sequence[int]
    continues: bool = False
    echo: str = ""


@dataclass
class Choice:
    """One of a request's answers, as far as it has come."""

    index: int
    text: list[str] = field(default_factory=list)
    finish: FinishReason = "length"


class Answer:
    """Answers one request: every prompt, ``n`` times each, one after the other.

    Args:
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
        submitted: float,
        interrupted: Callable[[], bool],
    ):
        self.executor = executor
        self.tokenizer = tokenizer
        self.request = request
        self.prompts = prompts
        self.responses = responses
        self.submitted = submitted
        self.interrupted = interrupted
        self.stats: list[GenerationStats] = []
        self.choices: list[Choice] = []

    async def pieces(self) -> AsyncGenerator[Any, None]:
        """The pieces of a streamed answer."""
        for prompt in self.prompts:
            for _ in range(self.request.n):
                choice = self._new_choice()
                for piece in self.responses.opening(choice.index):
                    yield piece
                async with aclosing(self._texts(choice, prompt)) as texts:
                    async for text in texts:
                        yield self.responses.text(choice.index, text)
                yield self.responses.finish(choice.index, choice.finish)
        if self.request.include_usage:
            yield self.responses.usage(self.usage())

    async def whole(self) -> Any:
        """The answer in one."""
        for prompt in self.prompts:
            for _ in range(self.request.n):
                choice = self._new_choice()
                async with aclosing(self._texts(choice, prompt)) as texts:
                    async for text in texts:
                        choice.text.append(text)
        finished = [("".join(choice.text), choice.finish) for choice in self.choices]
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

    def _new_choice(self) -> Choice:
        choice = Choice(len(self.choices))
        self.choices.append(choice)
        return choice

    def _settings(self, choice: Choice) -> SamplingSettings:
        """The request's settings; a prompt's choices draw differently from one seed."""
        sampling = self.request.sampling
        number = choice.index % self.request.n
        if sampling.seed is None or number == 0:
            return sampling
        return replace(sampling, seed=sampling.seed + number)

    async def _texts(self, choice: Choice, prompt: Prompt) -> AsyncGenerator[str, None]:
        """The text of one choice as it comes; sets how it finished."""
        if prompt.echo:
            yield prompt.echo
        room = self.executor.context_length - len(prompt.tokens)
        limit = room if self.request.max_tokens is None else min(room, self.request.max_tokens)
        if limit == 0:
            return
        if self.interrupted():
            choice.finish = "abort"
            return
        stats = GenerationStats()
        self.stats.append(stats)
        decoder = self.tokenizer.decoder(continues=prompt.continues)
        stops = StopFilter(self.request.stop)
        ends = frozenset() if self.request.ignore_eos else self.tokenizer.end_ids
        batches = generate(
            self.executor,
            prompt.tokens,
            self._settings(choice),
            max_tokens=limit,
            stats=stats,
            interrupted=self.interrupted,
        )
        async with aclosing(batches):
            async for batch in batches:
                text, ended_after = text_of(batch, decoder, stops, ends)
                if text:
                    yield text
                if ended_after is not None:
                    stats.generated -= len(batch) - ended_after
                    choice.finish = "stop"
                    break
        if choice.finish == "length" and stats.generated < limit:
            choice.finish = "abort"
        shown, stopped = stops.push(decoder.flush())
        if stopped:
            choice.finish = "stop"
        if text := shown + stops.flush():
            yield text


def text_of(
    tokens: Sequence[int], decoder: StreamDecoder, stops: StopFilter, ends: Container[int]
) -> tuple[str, int | None]:
    """The text of tokens that may be shown, and after how many of them the answer ended, if so."""
    text = ""
    for used, token in enumerate(tokens, start=1):
        if token in ends:
            return text, used
        shown, stopped = stops.push(decoder.push(token))
        text += shown
        if stopped:
            return text, used
    return text, None
