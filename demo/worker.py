"""The Python half of the page's worker: messages in, engine calls, JSON messages out.

The messages are described in worker.mjs.
"""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

import webllm_py
from webllm_py.errors import CancelledLoadError, StorageFullError, WebLLMError

Message: TypeAlias = dict[str, Any]


class Session:
    """One model at a time, and one job at a time: a load or an answer.

    A new job ends the one before it and begins when that is over. The page's number of a job is in
    every message about it; the last one says how it ended. ``post`` takes a message as JSON.
    """

    def __init__(self, post: Callable[[str], None]) -> None:
        self._post = post
        self._engine: Any = None
        self._unloading: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()
        self._job: asyncio.Task[Message] | None = None
        self._heard: asyncio.Task[Any] | None = None  # the answer that the engine has begun

    def load(self, number: int, kind: str, given: Any, context_length: int | None) -> None:
        """Replace the model; ``given``: an address, a JavaScript ``File`` or an array of them."""
        source = list(given) if kind == "folder" else given
        self._begin(number, "load", partial(self._load, number, source, context_length or None))

    def recover(self, number: int) -> None:
        """Start again on a new GPU device, with the same model."""
        self._begin(number, "load", self._recover)

    def chat(self, number: int, messages: str, options: str) -> None:
        """Answer a conversation."""
        work = partial(self._chat, number, json.loads(messages), json.loads(options))
        self._begin(number, "chat", work)

    def stop(self) -> None:
        """End the job under way: a load is undone, of an answer stands what was said so far."""
        job = self._job
        if job is None or job.cancelling():
            return
        if job is self._heard:
            self._engine.interrupt()
        else:
            job.cancel()  # before its turn the engine would not know what to interrupt

    def _begin(self, number: int, during: str, work: Callable[[], Awaitable[Message]]) -> None:
        self.stop()
        self._job = asyncio.ensure_future(self._in_turn(work))
        self._job.add_done_callback(partial(self._ended, number, during))

    async def _in_turn(self, work: Callable[[], Awaitable[Message]]) -> Message:
        async with self._turn:
            return await work()

    def _ended(self, number: int, during: str, job: asyncio.Task[Message]) -> None:
        error = asyncio.CancelledError() if job.cancelled() else job.exception()
        if error is None:
            self._send(id=number, **job.result())
        elif isinstance(error, (asyncio.CancelledError, CancelledLoadError)):
            self._send(type="cancelled", id=number)
        else:
            self._send(type="error", id=number, during=during, **_described(error))

    async def _load(self, number: int, source: Any, context_length: int | None) -> Message:
        if self._engine is not None:
            self._unloading = asyncio.ensure_future(self._engine.unload())
            self._engine = None
        if self._unloading is not None:
            # First, so that both need not fit at once. It goes on when this load is cancelled.
            await asyncio.wait([self._unloading])
        load = partial(
            webllm_py.load,
            source,
            context_length=context_length,
            on_progress=partial(self._progress, number),
        )
        try:
            self._engine = await load()
        except StorageFullError:  # a page's visitor wants to chat first of all
            self._engine = await load(fetch=webllm_py.FetchOptions(keep=False))
        return {"type": "loaded", "info": self._info()}

    async def _recover(self) -> Message:
        await self._engine.recover()
        return {"type": "loaded", "info": self._info()}

    async def _chat(self, number: int, messages: list[Any], options: dict[str, Any]) -> Message:
        start = time.perf_counter()
        first = last = None
        finish = usage = None
        answer = await self._engine.chat.completions.create(
            messages=messages, stream=True, stream_options={"include_usage": True}, **options
        )
        async with aclosing(answer) as chunks:
            async for chunk in chunks:
                self._heard = asyncio.current_task()
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    finish = choice.finish_reason or finish
                    thought, text = choice.delta.reasoning_content, choice.delta.content
                    if thought or text:
                        last = time.perf_counter()
                        first = first or last
                        kind = "thought" if thought else "delta"
                        self._send(type=kind, id=number, text=thought or text)
        counts = _counts(usage)
        return {
            "type": "done",
            "finish": finish,
            "usage": counts,
            "timings": _timings(start, first, last, counts["completion_tokens"]),
            "info": self._info(),
        }

    def _info(self) -> Message:
        return {name: value for name, value in self._engine.info.items() if _is_plain(value)}

    def _progress(self, number: int, report: Any) -> None:
        self._send(
            type="progress",
            id=number,
            stage=report.stage,
            loaded=report.loaded,
            total=report.total,
            rate=report.bytes_per_second,
        )

    def _send(self, **message: Any) -> None:
        self._post(json.dumps(message))


def _described(error: BaseException) -> Message:
    """What the page is told of an error."""
    message = str(error)
    if not isinstance(error, WebLLMError):
        traceback.print_exception(error)  # a defect: the console gets all of it
        message = f"{type(error).__name__}: {error}"
    return {"kinds": [kind.__name__ for kind in type(error).__mro__], "message": message}


def _counts(usage: Any) -> dict[str, int]:
    """OpenAI's usage as plain numbers; zeros for an answer that was stopped before it began."""
    if usage is None:
        return {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
    details = usage.prompt_tokens_details
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": details.cached_tokens if details else 0,
    }


def _timings(
    start: float, first: float | None, last: float | None, tokens: int
) -> dict[str, float | None]:
    """As the person at the page sees it: seconds to the first text, then tokens a second."""
    if first is None or last is None:
        return {"first_token": None, "tokens_per_second": None}
    speed = (tokens - 1) / (last - first) if last > first and tokens > 1 else None
    return {"first_token": first - start, "tokens_per_second": speed}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))
