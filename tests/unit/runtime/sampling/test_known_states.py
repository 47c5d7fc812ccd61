"""What the GPU is told of a grammar's states."""

from __future__ import annotations

from typing import Any

import pytest

from webllm_py.errors import GrammarError
from webllm_py.runtime.sampling.known_states import KnownStates


class Tables:
    """What a GPU stalled for, once it is read."""

    def __init__(self) -> None:
        self.read = False

    async def missing(self) -> list[int]:
        self.read = True
        return []


async def test_a_grammar_that_cannot_be_read_on_leaves_nothing_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A read-back that is begun has to be awaited."""

    def fails(*_: object) -> float:
        raise GrammarError("too ambiguous")

    monkeypatch.setattr(KnownStates, "explore", fails)
    tables: Any = Tables()
    with pytest.raises(GrammarError, match="too ambiguous"):
        await KnownStates(tables).learn([], 0.1)
    assert tables.read
