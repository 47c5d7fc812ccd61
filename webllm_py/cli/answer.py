"""Answers of ``webllm-py chat``: written while they come, and added up."""

from __future__ import annotations

import sys
import time
from typing import Any

from webllm_py.cli.terminal import Style, printable
from webllm_py.engine import Engine
from webllm_py.units import counted, duration, significant

__all__ = ["Answer", "Totals"]


class Answer:
    """One answer on its way to the screen."""

    def __init__(self, style: Style, on_terminal: bool):
        self.style = style
        self.on_terminal = on_terminal
        self.text = ""
        self.thought = ""
        self.usage: Any = None
        self.finish: str | None = None
        self.seconds = 0.0

    async def stream(
        self, engine: Engine, messages: list[dict[str, Any]], fields: dict[str, Any]
    ) -> None:
        """Ask the engine and write what comes."""
        start = time.perf_counter()
        pieces = await engine.chat.completions.create(
            messages=messages, stream=True, stream_options={"include_usage": True}, **fields
        )
        async with pieces:
            async for piece in pieces:
                self.usage = piece.usage or self.usage
                for choice in piece.choices:
                    self.finish = choice.finish_reason or self.finish
                    self.think(choice.delta.reasoning_content or "")
                    self.write(choice.delta.content or "")
        self.seconds = time.perf_counter() - start

    def think(self, text: str) -> None:
        """Show more of the reasoning before it, where somebody watches."""
        if text and self.on_terminal:
            self.thought += text
            sys.stdout.write(self.style.dim(printable(text)))
            sys.stdout.flush()

    def write(self, text: str) -> None:
        """Show more of it; white space at its beginning is nobody's wish."""
        text = text if self.text else text.lstrip()
        if text and self.thought and not self.text:
            print("\n")
        self.text += text
        sys.stdout.write(printable(text) if self.on_terminal else text)
        sys.stdout.flush()

    def end_line(self) -> None:
        """The next output begins a line."""
        if not (self.text or self.thought).endswith("\n"):
            print(flush=True)

    def summary(self) -> str:
        """Tokens and speed, and why it ended if not by itself."""
        reasons = {"length": "cut off: no tokens left", "abort": "stopped"}
        parts = [reasons[self.finish]] if self.finish in reasons else []
        if self.usage:
            parts.append(counted(self.usage.completion_tokens, "token"))
            timings = self.usage.timings
            if timings and timings.decode_tokens_per_s:
                parts.append(f"{significant(timings.decode_tokens_per_s)} tokens/s")
            if timings and timings.time_to_first_token_s:
                parts.append(f"first after {duration(timings.time_to_first_token_s)}")
        return " · ".join(parts)


class Totals:
    """What ``/stats`` adds up."""

    def __init__(self) -> None:
        self.answers = self.tokens = self.in_context = 0
        self._timed_tokens, self._timed_seconds = 0, 0.0

    def add(self, usage: Any) -> None:
        """One more answer."""
        self.answers += 1
        self.tokens += usage.completion_tokens
        self.in_context = usage.total_tokens
        rate = usage.timings.decode_tokens_per_s if usage.timings else None
        if rate:
            self._timed_tokens += usage.completion_tokens - 1
            self._timed_seconds += (usage.completion_tokens - 1) / rate

    @property
    def decode_rate(self) -> float | None:
        """Tokens a second of all answers together."""
        return self._timed_tokens / self._timed_seconds if self._timed_seconds else None
