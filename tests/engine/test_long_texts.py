"""Long texts become tokens beside the engine's other work."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from webllm_py import ContextLengthError, Engine

LONG = "some words of a long text, " * 20_000


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: engine.completions.create(prompt=LONG),
        lambda engine: engine.chat.completions.create(messages=[{"role": "user", "content": LONG}]),
    ],
    ids=["completion", "chat"],
)
async def test_others_go_on_while_a_long_text_becomes_tokens(engine: Engine, ask: Any) -> None:
    """540,000 characters take a good part of a second."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    at_work = asyncio.create_task(others())
    with pytest.raises(ContextLengthError):
        await ask(engine)
    at_work.cancel()
    assert turns >= 5
