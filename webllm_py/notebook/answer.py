"""A streamed answer below a notebook's cell, as Markdown, while it is written. IPython in a
terminal, which cannot change what it wrote, gets its text."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, cast

from webllm_py.api.logprobs import ChoiceLogprobs
from webllm_py.api.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    FinishReason,
    FunctionCall,
    ToolCall,
)
from webllm_py.cli.terminal import printable
from webllm_py.streaming import Stream

__all__ = ["Whole", "show"]

EVERY_SECONDS = 0.1  # a notebook renders the whole answer each time


async def show(stream: Stream[ChatCompletionChunk]) -> ChatCompletion:
    """Show an answer below the cell while it is written. Interrupting the cell ends it.

    Args:
        stream: of ``engine.chat.completions.create(..., stream=True)``.

    Returns:
        The whole answer, as ``create`` without ``stream`` returns it.

    Raises:
        TypeError: it is no stream.
    """
    if not hasattr(stream, "__anext__"):
        kind = type(stream).__name__
        raise TypeError(f"show takes a stream, of create(..., stream=True), not {kind}")
    whole, place = Whole(), Lines() if in_terminal() else Output()
    async with stream:
        async for chunk in stream:
            whole.add(chunk)
            place.grow(chunk, whole.completion)
    place.end(whole.completion)
    return whole.completion


def in_terminal() -> bool:
    """Whether what is displayed is printed, with its updates one below the other."""
    from IPython import get_ipython
    from IPython.core.displaypub import DisplayPublisher

    shell: Any = get_ipython()
    return shell is None or type(shell.display_pub) is DisplayPublisher


class Output:
    """An output below a cell, replaced as the answer grows."""

    def __init__(self) -> None:
        from IPython.display import display

        self._handle: Any = display({"text/plain": ""}, raw=True, display_id=True)
        self._shown = 0.0

    def grow(self, chunk: ChatCompletionChunk, answer: ChatCompletion) -> None:
        """Show what there is, if it is time to."""
        if time.monotonic() > self._shown + EVERY_SECONDS:
            self.end(answer)
            self._shown = time.monotonic()

    def end(self, answer: ChatCompletion) -> None:
        """Show all of it."""
        self._handle.update(answer)


class Lines:
    """Lines of a terminal, which end where the answer does."""

    def grow(self, chunk: ChatCompletionChunk, answer: ChatCompletion) -> None:
        """Write what is new, if there is one answer only."""
        for piece in chunk.choices if len(answer.choices) == 1 else ():
            text = (piece.delta.reasoning_content or "") + (piece.delta.content or "")
            print(printable(text), end="", flush=True)

    def end(self, answer: ChatCompletion) -> None:
        """End the line; of several answers, or of calls, write what a notebook shows."""
        whole = len(answer.choices) > 1 or answer.choices[0].message.tool_calls
        print("\n" + printable(answer._markdown(lambda: str)) if whole else "")


class Whole:
    """A streamed answer put together.

    Attributes:
        completion: what there is of it. A choice that goes on has no reason to be finished.
    """

    completion: ChatCompletion

    def __init__(self) -> None:
        self._choices: dict[int, Choice] = {}

    def add(self, chunk: ChatCompletionChunk) -> None:
        """The next piece."""
        for piece in chunk.choices:
            choice = self._choices.get(piece.index) or Choice(
                cast(FinishReason, None), piece.index, ChatCompletionMessage(None)
            )
            self._choices[piece.index] = replace(
                choice,
                finish_reason=piece.finish_reason or choice.finish_reason,
                message=longer(choice.message, piece.delta),
                logprobs=of_both(choice.logprobs, piece.logprobs),
            )
        self.completion = ChatCompletion(
            chunk.id,
            [choice for _, choice in sorted(self._choices.items())],
            chunk.created,
            chunk.model,
            system_fingerprint=chunk.system_fingerprint,
            usage=chunk.usage,
        )


def longer(message: ChatCompletionMessage, delta: ChoiceDelta) -> ChatCompletionMessage:
    """A message and what a piece adds to it."""
    calls = [*(message.tool_calls or [])]
    for piece in delta.tool_calls or []:
        name, arguments = piece.function.name or "", piece.function.arguments or ""
        if piece.index == len(calls):
            calls.append(ToolCall(piece.id or "", FunctionCall(arguments, name)))
        else:
            before = calls[piece.index].function
            function = FunctionCall(before.arguments + arguments, before.name + name)
            calls[piece.index] = replace(calls[piece.index], function=function)
    return replace(
        message,
        content=joined(message.content, delta.content),
        reasoning_content=joined(message.reasoning_content, delta.reasoning_content),
        tool_calls=calls or None,
    )


def of_both(some: ChoiceLogprobs | None, more: ChoiceLogprobs | None) -> ChoiceLogprobs | None:
    """The log-probabilities of two pieces, if they were asked for."""
    if some is None or more is None:
        return some or more
    return ChoiceLogprobs([*some.content, *more.content])


def joined(text: str | None, more: str | None) -> str | None:
    """Two texts, either of which may be missing."""
    return text if more is None else (text or "") + more
