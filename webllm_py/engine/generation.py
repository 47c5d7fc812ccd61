"""Generates the texts of a prompt's answers, and goes on after the loss of a device.

A draw depends only on its position, the seed and the tokens before it: on another device an answer
goes on as if it had never been interrupted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from webllm_py.api import GenerationRequest
from webllm_py.engine.choice import Choice
from webllm_py.errors import DeviceLostError
from webllm_py.gpu import Device
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.generate import Decoding, generate
from webllm_py.runtime.kv.pages import Mix
from webllm_py.tokenizer import Tokenizer

if TYPE_CHECKING:
    from webllm_py.grammar import Matcher, TokenMasks

__all__ = ["MOST_LOSSES", "Generation", "Revived"]

ResultT = TypeVar("ResultT")
Revived: TypeAlias = Callable[[Device], Awaitable[Executor]]
MOST_LOSSES = 3
"""Losses of a device in a row, without a token in between, that a request survives."""


class Generation:
    """Generates what one request asks for. The arguments are those of ``Answer``."""

    def __init__(
        self,
        executor: Executor,
        tokenizer: Tokenizer,
        request: GenerationRequest,
        masks: TokenMasks | None,
        adapters: Callable[[], Mix],
        interrupted: Callable[[], bool],
        revived: Revived,
    ):
        self.executor = executor
        self.adapters = adapters
        self._tokenizer = tokenizer
        self._request = request
        self._masks = masks
        self._interrupted = interrupted
        self._revived = revived

    async def surviving(self, work: Callable[[Executor], Awaitable[ResultT]]) -> ResultT:
        """The result of ``work``, which is done again if the device is lost meanwhile."""
        losses = 0
        while True:
            try:
                return await work(self.executor)
            except DeviceLostError:
                losses += 1
                if losses > MOST_LOSSES:
                    raise
                self.executor = await self._revived(self.executor.device)

    async def texts(
        self, choices: Sequence[Choice], prompt: Sequence[int], limit: int
    ) -> AsyncGenerator[tuple[Choice, str], None]:
        """Texts of choices as their tokens are drawn; ``finish`` is set on those that stop.

        Args:
            prompt: its token ids.
            limit: most tokens of each choice.
        """
        losses = known = 0
        while True:
            try:
                async with aclosing(self._texts_of_all(choices, prompt, limit)) as texts:
                    async for choice, text in texts:
                        yield choice, text
                return
            except DeviceLostError:
                before, known = known, sum(len(choice.tokens) for choice in choices)
                losses = losses + 1 if known == before else 1
                if losses > MOST_LOSSES:
                    raise
                self.executor = await self._revived(self.executor.device)

    async def _texts_of_all(
        self, choices: Sequence[Choice], prompt: Sequence[int], limit: int
    ) -> AsyncGenerator[tuple[Choice, str], None]:
        """Decode the choices together if none has begun; else the rest of each by itself."""
        left = [c for c in choices if not c.finish and len(c.tokens) < limit]
        begun = any(choice.tokens for choice in choices)
        groups = [[choice] for choice in left] if begun else [left]
        for group in filter(None, groups):
            async with aclosing(self._texts_of(group, prompt, limit)) as texts:
                async for choice, text in texts:
                    yield choice, text
            if self._interrupted():
                return

    async def _texts_of(
        self, choices: Sequence[Choice], prompt: Sequence[int], limit: int
    ) -> AsyncGenerator[tuple[Choice, str], None]:
        request, ended = self._request, set[int]()
        said = choices[0].tokens[:] if len(choices) == 1 else []
        # Mirostat's state was lost with the device: its tokens are drawn again.
        again = said if request.sampling.mirostat_tau else []
        for choice in choices:
            choice.begin(len(said) - len(again))
        batches = generate(
            self.executor,
            prompt,
            [choice.settings for choice in choices],
            Decoding(
                guess=request.prompt_lookup,
                constraints=self._constraints(len(choices)),
                vocabulary=self._tokenizer,
                logprobs=self._logprobs,
            ),
            max_tokens=limit,
            stats=[choice.stats for choice in choices],
            ended=ended,
            shared=request.shares,
            adapters=self.adapters(),
            interrupted=self._interrupted,
            said=said[len(again) :],
        )
        async with aclosing(batches):
            async for number, tokens in batches:
                choice = choices[number]
                text = choice.push(tokens_behind(again, tokens))
                if choice.finish:
                    text += choice.end("stop")
                    ended.add(number)
                if text or choice.finish:
                    yield choice, text
                if len(ended) == len(choices):
                    break

    def _constraints(self, count: int) -> list[Matcher]:
        """What the text must be, for each of ``count`` choices; empty if it may be anything."""
        if self._request.grammar is None:
            return []
        from webllm_py.grammar import Matcher  # not before it is needed, see api/requests.py

        return [Matcher(self._request.grammar, self._masks) for _ in range(count)]

    @property
    def _logprobs(self) -> int | None:
        """With how many alternatives log-probabilities of tokens are found; None: not at all."""
        request = self._request
        chosen_by_them = request.drawn > request.n
        return request.logprobs or 0 if chosen_by_them else request.logprobs


def tokens_behind(known: list[int], tokens: list[int]) -> list[int]:
    """Remove from drawn ``tokens`` those that are ``known``, and these from ``known``.

    Raises:
        DeviceLostError: other tokens were drawn than before.
    """
    count = min(len(known), len(tokens))
    if known[:count] != tokens[:count]:
        raise DeviceLostError(
            "the GPU device was lost, and the new one draws other tokens from the same seed, so "
            "that this answer cannot go on; ask again"
        )
    del known[:count]
    return tokens[count:]
