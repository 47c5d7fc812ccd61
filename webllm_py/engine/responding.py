"""How an engine answers a request: in its turn, as one response or as a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from webllm_py.engine.adapters import AdaptersMixin
from webllm_py.engine.answers import Answer
from webllm_py.engine.prompts import PreparedRequest
from webllm_py.engine.steering import SteeringMixin
from webllm_py.errors import RequestTimeoutError
from webllm_py.runtime.executor import Executor
from webllm_py.streaming import Stream

if TYPE_CHECKING:
    from webllm_py.fetch.store.kept_answers import KeptAnswer
    from webllm_py.gpu import Device

__all__ = ["RespondingMixin"]


class RespondingMixin(SteeringMixin, AdaptersMixin):
    """The part of ``Engine`` that answers requests."""

    async def respond(self, prepared: PreparedRequest, known: KeptAnswer | None = None) -> Any:
        """Answer a request in its turn: a whole response, or a stream of pieces.

        Args:
            known: what another process stored of this answer, if it was begun.
        """
        request = prepared.request
        self._mix(request.adapters, request.model)  # raises at once if an adapter is not loaded
        turn, submitted = self._queue.join(shares=request.shares), time.perf_counter()

        @asynccontextmanager
        async def answering() -> AsyncIterator[Answer]:
            async with time_limit(request.timeout), turn, self.steered(request.steering):
                model = self.loaded
                images = [image for prompt in prepared.prompts for image in prompt.images]
                with ExitStack() as held:

                    def hold(executor: Executor) -> Executor:
                        if executor.images and images:
                            held.enter_context(executor.images.holding(images))
                        return executor

                    async def revived(lost: Device) -> Executor:
                        return hold(await self._executor_after(lost))

                    answer = Answer(
                        hold(model.executor),
                        model.tokenizer,
                        prepared,
                        masks=model.token_masks if request.grammar else None,
                        adapters=lambda: self._mix(request.adapters, request.model),
                        submitted=submitted,
                        interrupted=lambda: turn.interrupted,
                        revived=revived,
                        known=known,
                    )
                    async with self._kept(prepared, answer, known):
                        yield answer

        async def pieces() -> AsyncIterator[Any]:
            async with answering() as answer:
                async for piece in answer.pieces():
                    yield piece

        if request.stream:
            return Stream(pieces(), at_end=turn.leave)
        async with answering() as answer:
            return await answer.whole()

    def _kept(
        self, prepared: PreparedRequest, answer: Answer, known: KeptAnswer | None
    ) -> AbstractAsyncContextManager[None]:
        """Keep the answer's tokens while it is given, if the request is resumable."""
        if not prepared.request.resumable:
            return nullcontext()
        from webllm_py.engine.keeping import answers_store, keeping  # not before it is needed

        store = answers_store(self._options)
        return keeping(store, prepared, answer, known, model=self.name)


@asynccontextmanager
async def time_limit(seconds: float | None) -> AsyncIterator[None]:
    """Limit the time that the block may take; None: no limit.

    Raises:
        RequestTimeoutError: it did not end in time, and was cancelled.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if seconds is None or not limit.expired():
            raise
        raise RequestTimeoutError(seconds) from None
