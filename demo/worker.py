"""The Python half of the page's worker: messages in, engine calls, JSON messages out.

The messages are described in worker.mjs.
"""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import webllm_py
from webllm_py.errors import CancelledLoadError, WebLLMError

_PROGRESS_SECONDS = 0.05  # between two progress messages of one stage


class Session:
    """One model at a time, and one thing done with it at a time.

    ``post`` takes a message as JSON.
    """

    def __init__(self, post: Callable[[str], None]) -> None:
        self._post = post
        self._engine: Any = None
        self._task: asyncio.Task[None] | None = None
        self._stage = ""
        self._progress_at = 0.0

    def load(self, kind: str, address: str | None, files: Any, context_length: int | None) -> None:
        """Replace the model by another; ``files`` is a JavaScript array of ``File``."""
        if kind == "files":
            source = files[0] if len(files) == 1 else list(files)
        else:
            source = address if kind == "address" else None
        self._run("load", self._load(source, context_length or None))

    def cancel(self) -> None:
        """Stop the load that is under way."""
        if self._task is not None:
            self._task.cancel()

    def chat(self, number: int, messages: str, options: str) -> None:
        """Answer a conversation."""
        self._run("chat", self._chat(number, json.loads(messages), json.loads(options)), number)

    def stop(self) -> None:
        """End the answer that is under way; what was said so far stands."""
        if self._engine is not None:
            self._engine.interrupt()

    def recover(self) -> None:
        """Start again on a new GPU device, with the same model."""
        self._run("load", self._recover())

    def _run(self, during: str, work: Coroutine[Any, Any, None], number: int | None = None) -> None:
        async def guarded() -> None:
            try:
                await work
            except (asyncio.CancelledError, CancelledLoadError):
                self._send(type="cancelled")
            except Exception as error:
                self._fail(error, during, number)

        self._task = asyncio.ensure_future(guarded())

    async def _load(self, source: Any, context_length: int | None) -> None:
        if self._engine is not None:
            old, self._engine = self._engine, None
            await old.unload()  # first, so that both need not fit at once
        self._engine = await webllm_py.load(
            source, context_length=context_length, on_progress=self._progress
        )
        self._send(type="loaded", info=self._info())

    async def _recover(self) -> None:
        await self._engine.recover()
        self._send(type="loaded", info=self._info())

    async def _chat(self, number: int, messages: list[Any], options: dict[str, Any]) -> None:
        start = time.perf_counter()
        first = last = None
        finish = usage = None
        chunks = await self._engine.chat.completions.create(
            messages=messages, stream=True, stream_options={"include_usage": True}, **options
        )
        async for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                if choice.delta.content:
                    last = time.perf_counter()
                    first = first or last
                    self._send(type="delta", id=number, text=choice.delta.content)
        counts = _counts(usage)
        self._send(
            type="done",
            id=number,
            finish=finish,
            usage=counts,
            timings=_timings(start, first, last, counts["completion_tokens"]),
            info=self._info(),
        )

    def _info(self) -> dict[str, Any]:
        return {name: value for name, value in self._engine.info.items() if _is_plain(value)}

    def _progress(self, report: Any) -> None:
        now = time.monotonic()
        finished = report.total is not None and report.loaded >= report.total
        early = now < self._progress_at + _PROGRESS_SECONDS
        if report.stage == self._stage and early and not finished:
            return
        self._stage, self._progress_at = report.stage, now
        self._send(
            type="progress",
            stage=report.stage,
            loaded=report.loaded,
            total=report.total,
            rate=report.bytes_per_second,
        )

    def _fail(self, error: Exception, during: str, number: int | None) -> None:
        message = str(error)
        if not isinstance(error, WebLLMError):
            traceback.print_exception(error)  # a defect: the console gets all of it
            message = f"{type(error).__name__}: {error}"
        kinds = [kind.__name__ for kind in type(error).__mro__]
        self._send(type="error", during=during, id=number, kinds=kinds, message=message)

    def _send(self, **message: Any) -> None:
        self._post(json.dumps(message))


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
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))
