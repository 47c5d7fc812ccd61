"""Free text with parts that are kept to: steps run ahead of what the constraint has to say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from engine_tools import PRINTABLE_ONLY

from webllm_py import Engine
from webllm_py.grammar import Matcher
from webllm_py.runtime.generation import verified

TEXT = "Once upon"


def tags(trigger: str) -> dict[str, Any]:
    """Behind each trigger come two digits and a comma."""
    content = {"type": "regex", "pattern": "[0-9][0-9]"}
    tag = {"begin": trigger, "content": content, "end": ","}
    return {"type": "structural_tag", "format": {"type": "triggered_tags", "triggers": [trigger],
                                                 "tags": [tag]}}  # fmt: skip


async def said(engine: Engine, **fields: Any) -> str:
    reply = await engine.completions.create(
        **{"prompt": TEXT, "max_tokens": 60, "logit_bias": PRINTABLE_ONLY, **fields}
    )
    return str(reply.choices[0].text)


@pytest.fixture
def backs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens kept each time that a run went back."""
    found: list[int] = []
    go_back = verified.go_back

    async def noted(run: Any, count: int) -> None:
        found.append(count)
        await go_back(run, count)

    monkeypatch.setattr(verified, "go_back", noted)
    return found


@pytest.mark.parametrize(
    "fields", [{"temperature": 0}, {"temperature": 1.2, "seed": 3}, {"temperature": 1.2, "seed": 8}]
)
async def test_the_same_text_as_with_a_mask_on_every_step(
    engine: Engine, fields: dict[str, Any], backs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = await said(engine, **fields)
    trigger = max(free[:40], key=free.count)
    fields = {**fields, "response_format": tags(trigger)}
    ahead = await said(engine, **fields)
    assert len(backs) >= 2 and backs == sorted(backs)
    t = re.escape(trigger)
    assert re.fullmatch(f"(?:[^{t}]|{t}[0-9]{{2}},)*(?:{t}[0-9]{{0,2}})?", ahead), ahead
    monkeypatch.setattr(Matcher, "is_free", False)
    assert await said(engine, **fields) == ahead
    assert ahead.startswith(free[: free.index(trigger)])


async def test_without_a_trigger_nothing_is_done_again(engine: Engine, backs: list[int]) -> None:
    fields: dict[str, Any] = {"temperature": 0, "max_tokens": 30}
    assert await said(engine, response_format=tags("<tag>"), **fields) == await said(
        engine, **fields
    )
    assert not backs


async def test_what_was_dropped_leaves_nothing_behind(engine: Engine, backs: list[int]) -> None:
    """Neither in the cache, nor in penalties, for which every step is masked."""
    free = await said(engine, temperature=0)
    form = tags(free[0])  # the very first token is refused, or what follows it
    text = await said(engine, temperature=0, response_format=form)
    assert backs
    for prompt in (TEXT + text, TEXT):
        warm = await said(engine, prompt=prompt, temperature=0, max_tokens=20)
        engine.loaded.executor.cache.pages.clear()
        assert await said(engine, prompt=prompt, temperature=0, max_tokens=20) == warm
    backs.clear()
    await said(engine, temperature=0, frequency_penalty=0.5, response_format=form)
    assert not backs


async def test_a_tag_that_has_to_begin(engine: Engine, backs: list[int]) -> None:
    form = tags("#")
    form["format"] |= {"at_least_one": True, "stop_after_first": True}
    text = await said(engine, response_format=form, logit_bias={**PRINTABLE_ONLY, 35: 20})
    assert re.fullmatch(r"[^#]*#[0-9]{2},", text)


@pytest.mark.parametrize("n", [1, 2])
async def test_log_probabilities_and_several_answers(
    engine: Engine, backs: list[int], n: int
) -> None:
    """They are masked all the way, and the texts are the same."""
    fields: dict[str, Any] = {"temperature": 1.2, "response_format": tags("e"), "max_tokens": 60}
    alone = [await said(engine, **fields, seed=8 + index) for index in range(n)]
    assert backs
    backs.clear()
    reply = await engine.completions.create(
        prompt=TEXT, logit_bias=PRINTABLE_ONLY, **fields, seed=8, n=n, logprobs=1
    )
    assert [choice.text for choice in reply.choices] == alone
    assert [choice.logprobs.tokens for choice in reply.choices] == [[*text] for text in alone]
    assert not backs
