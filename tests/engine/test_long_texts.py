"""Long texts become tokens beside the engine's other work."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from webllm_py import ContextLengthError, Engine
from webllm_py.tokenizer import Tokenizer

LONG = "some words of a long text, " * 20_000


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: engine.completions.create(prompt=LONG),
        lambda engine: engine.chat.completions.create(messages=[{"role": "user", "content": LONG}]),
    ],
    ids=["completion", "chat"],
)
async def test_others_go_on_while_a_long_text_becomes_tokens(
    engine: Engine, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a good part of a second, here at least until others had five turns: how many they
    have on a busy machine is chance."""
    begun, gone_on = threading.Event(), threading.Event()
    encode = Tokenizer.encode

    def waiting(self: Tokenizer, text: str, **options: Any) -> list[int]:
        begun.set()
        assert gone_on.wait(20), "nobody else had a turn"
        return encode(self, text, **options)

    async def others() -> None:
        turns = 0
        while turns < 5:
            await asyncio.sleep(0.01)
            turns += begun.is_set()
        gone_on.set()

    monkeypatch.setattr(Tokenizer, "encode", waiting)
    at_work = asyncio.create_task(others())
    with pytest.raises(ContextLengthError):
        await ask(engine)
    await at_work
