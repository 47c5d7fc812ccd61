"""An engine without a model: it says what it was asked, word by word. Also a program: run with the
words of ``webllm-py``, it is the command line with this engine in it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from webllm_py.api import ChatResponses, Timings, Usage
from webllm_py.chat.pieces import ContentParser
from webllm_py.chat.reasoning import MARKS, ReasoningParser
from webllm_py.errors import ContextLengthError, DeviceLostError, EngineClosedError
from webllm_py.streaming import Stream

INFO = {
    "name": "Echo",
    "architecture": "llama",
    "parameters": 1_240_000_000,
    "quantization": "Q4_0",
    "adapter": "Test GPU",
    "context_length": 4096,
    "gpu_memory": 812_000_000,
}


class EchoEngine:
    """Answers ``messages[-1]``. Some words make it behave specially:

    "for ever": answers until it is interrupted; "too long", "lost", "closed": an error;
    "control": control characters; "nothing": an empty answer; "stuck": does not heed interrupts.
    """

    def __init__(self, vision: str | None = None) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))
        self.info = {**INFO, "vision": vision}
        self.loaded = True
        self.adapters: dict[str, Any] = {}
        self.requests: list[dict[str, Any]] = []
        self.recovered = 0
        self._interrupted = False

    def interrupt(self) -> None:
        self._interrupted = True

    async def recover(self) -> None:
        self.recovered += 1

    async def create(self, **fields: Any) -> Any:
        self.requests.append(fields)
        text = said(fields["messages"][-1]["content"])
        errors = {
            "too long": ContextLengthError("the conversation is over the context"),
            "lost": DeviceLostError("the device was lost"),
            "closed": EngineClosedError("the engine was unloaded"),
        }
        if text in errors:
            raise errors[text]
        self._interrupted = False
        return Stream(self.pieces(text, len(fields["messages"])))

    async def pieces(self, text: str, messages: int) -> AsyncIterator[Any]:
        responses = ChatResponses("echo", lambda: ReasoningParser(MARKS[0], None, ContentParser()))
        words = ["", "\n You", " said:", *(f" {word}" for word in text.split(" "))]
        words += {
            "for ever": [" on"] * 100_000,
            "stuck": [" on"] * 100_000,
            "control": ["\x1b[31m\x07\x9b2J", " tab\there"],
            "nothing": [],
        }.get(text, [])
        if text == "nothing":
            words = []
        if text == "think":
            words = ["<think>\n", "Hm", ".\n</think>\n\n", *words]
        shown = 0
        for piece in responses.opening(0):
            yield piece
        for word in words:
            await asyncio.sleep(0.001)
            if self._interrupted:
                if text != "stuck":
                    break
                word = " still"
            shown += 1
            for piece in responses.text(0, word):
                yield piece
        for piece in responses.finish(0, "abort" if self._interrupted else "stop"):
            yield piece
        timings = Timings(decode_tokens_per_s=100.0, time_to_first_token_s=0.0123)
        yield responses.usage(Usage.count(10 * messages, shown, timings=timings))


def said(content: Any) -> str:
    """A text, behind the names of the images that come with it."""
    if isinstance(content, str):
        return content
    parts = (f"[{Path(p['image']).name}]" if "image" in p else p["text"] for p in content)
    return " ".join(parts)


def main(words: list[str]) -> int:
    """``webllm-py`` with this engine."""
    import webllm_py.cli.chat as chat
    from webllm_py.cli import main as run

    @asynccontextmanager
    async def open_engine(options: Any) -> AsyncIterator[EchoEngine]:
        yield EchoEngine(options.vision)

    chat.open_engine = open_engine  # type: ignore[assignment]
    return run(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
