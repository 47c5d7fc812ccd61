"""``logprobs`` against log softmax of ``engine.logits``, in every way that tokens are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from engine_tools import PRINTABLE_ONLY, Teacher

from webllm_py import Engine

PROMPT = [256, *b"Once upon"]
ODD: dict[str, Any] = {"temperature": 0.7, "top_k": 40, "repetition_penalty": 1.2, "seed": 4}


async def log_softmax(engine: Engine, tokens: Sequence[int]) -> np.ndarray:
    """(len(tokens), vocab), float64."""
    logits = (await engine.logits(tokens)).astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def check(found: Any, expected: np.ndarray, tokens: Sequence[int], top: int) -> None:
    """A chat's or a completion's log-probabilities; ``expected`` is before each token."""
    if "content" in found:
        logprobs = [entry.logprob for entry in found.content]
        tops = [[a.logprob for a in entry.top_logprobs] for entry in found.content]
        assert [bytes(entry.bytes) for entry in found.content] == [bytes([t]) for t in tokens]
        for entry, row in zip(found.content, expected, strict=True):
            best = [a for a in entry.top_logprobs if len(a.bytes) == 1]
            for alternative in best:
                token = alternative.bytes[0]
                assert alternative.logprob == pytest.approx(row[token], abs=1e-2)
    else:
        logprobs = found.token_logprobs
        tops = [list(entry.values()) for entry in found.top_logprobs]
    # The cache keeps keys and values in float16, engine.logits does not.
    chosen = expected[np.arange(len(tokens)), list(tokens)]
    np.testing.assert_allclose(logprobs, chosen, atol=1e-2)
    for values, row in zip(tops, expected, strict=True):
        assert len(values) == top
        np.testing.assert_allclose(values, -np.sort(-row)[:top], atol=1e-2)


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        ODD,
        {"temperature": 0, "prompt_lookup": True, "logit_bias": {**PRINTABLE_ONLY, 65: 60.0}},
        {"seed": 1, "no_repeat_ngram_size": 2},
        {"temperature": 0, "response_format": {"type": "regex", "regex": "[a-z]{30}"}},
        {"logits_processors": [Teacher([*b"abcdefghijklmnopqrstuvwxyz0123"])]},
    ],
    ids=["greedy", "sampled", "guessed", "stepwise", "grammar", "processor"],
)
async def test_of_an_answer(engine: Engine, fields: dict[str, Any]) -> None:
    """Of the model's own distribution, whatever the draws were made from."""
    fields = {"logit_bias": PRINTABLE_ONLY, **fields}
    reply = await engine.completions.create(prompt=PROMPT, max_tokens=30, logprobs=3, **fields)
    choice = reply.choices[0]
    tokens = list(choice.text.encode())
    assert len(tokens) == 30
    expected = await log_softmax(engine, [*PROMPT, *tokens])
    check(choice.logprobs, expected[len(PROMPT) - 1 : -1], tokens, 3)
    assert choice.logprobs.tokens == list(choice.text)
    assert choice.logprobs.text_offset == list(range(30))
    without = await engine.completions.create(
        prompt=PROMPT, max_tokens=30, **{**fields, "logits_processors": []}
    )
    assert without.choices[0].logprobs is None
    if "logits_processors" not in fields:
        assert without.choices[0].text == choice.text


@pytest.mark.parametrize("top", [0, 20])
async def test_of_a_chat_streamed_and_whole_and_several(engine: Engine, top: int) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    fields: dict[str, Any] = {
        "messages": messages,
        "max_tokens": 12,
        "n": 3,
        "seed": 7,
        "logprobs": True,
        "top_logprobs": top,
        "logit_bias": PRINTABLE_ONLY,
    }
    whole = await engine.chat.completions.create(**fields)
    prompt = engine.tokenizer.encode(engine.loaded.dialect.prompts.build(messages))
    for choice in whole.choices:
        tokens = list(choice.message.content.encode())
        assert len(tokens) == 12
        expected = await log_softmax(engine, [*prompt, *tokens])
        check(choice.logprobs, expected[len(prompt) - 1 : -1], tokens, top)
    pieces: list[list[Any]] = [[], [], []]
    async for chunk in await engine.chat.completions.create(**fields, stream=True):
        choice = chunk.choices[0]
        if choice.logprobs:
            text = choice.delta.content
            assert "".join(entry.token for entry in choice.logprobs.content) == text
            pieces[choice.index] += choice.logprobs.content
    for found, choice in zip(pieces, whole.choices, strict=True):
        assert [e.token for e in found] == list(choice.message.content)
        assert [e.logprob for e in found] == pytest.approx(
            [e.logprob for e in choice.logprobs.content], abs=1e-4
        )


async def test_of_an_echoed_prompt(engine: Engine) -> None:
    """The first token has none where nothing is before it; BOS is, but is no part of the text."""
    text = "Once upon a time, " * 4
    for prompt, first in ((text, 1), ([*text.encode()], 0)):
        tokens = [256, *text.encode()] if isinstance(prompt, str) else prompt
        reply = await engine.completions.create(prompt=prompt, max_tokens=0, echo=True, logprobs=2)
        found = reply.choices[0].logprobs
        assert reply.choices[0].text == text and found.tokens == list(text)
        expected = await log_softmax(engine, tokens)
        np.testing.assert_allclose(
            found.token_logprobs[1 - first :],
            expected[np.arange(len(tokens) - 1), tokens[1:]],
            atol=1e-4,
        )
        if not first:
            assert found.token_logprobs[0] is None and found.top_logprobs[0] is None
        assert found.text_offset == list(range(len(text)))
    reply = await engine.completions.create(
        prompt="Ab", max_tokens=3, echo=True, logprobs=1, n=2, temperature=0,
        logit_bias=PRINTABLE_ONLY,
    )  # fmt: skip
    for choice in reply.choices:
        assert choice.logprobs.tokens == list(choice.text) and choice.text.startswith("Ab")
        assert choice.logprobs.text_offset == [0, 1, 2, 3, 4]


async def test_only_tokens_of_the_text(engine: Engine) -> None:
    """Neither the end token nor what a stop string cut off; bytes that are no text as such."""
    fields: dict[str, Any] = {"prompt": "x", "max_tokens": 12, "logprobs": 1}
    ended = Teacher([*"aé🙂".encode(), 257])
    reply = await engine.completions.create(**fields, logits_processors=[ended])
    found = reply.choices[0].logprobs
    assert reply.choices[0].text == "aé🙂"
    assert found.tokens == ["a", *(f"bytes:\\x{b:02x}" for b in "é🙂".encode())]
    assert found.text_offset == [0, 1, 1, 2, 2, 2, 2]
    reply = await engine.completions.create(
        **fields, stop="lo", logits_processors=[Teacher(b"Hello, world")]
    )
    assert (reply.choices[0].text, reply.choices[0].logprobs.tokens) == ("Hel", list("Hel"))
    stream = await engine.completions.create(
        **fields, stop="lo!", stream=True, logits_processors=[Teacher(b"Hello, lo wo")]
    )
    text, tokens = "", []
    async for piece in stream:
        text += piece.choices[0].text
        if piece.choices[0].logprobs:
            tokens += piece.choices[0].logprobs.tokens
    assert (text, tokens) == ("Hello, lo wo", list("Hello, lo wo"))


async def test_best_of(engine: Engine) -> None:
    """The likeliest of those that the same seed gives, the best first; all of them are counted."""
    fields: dict[str, Any] = {
        "prompt": ["Once", "Ab"],
        "max_tokens": 10,
        "seed": 3,
        "logit_bias": PRINTABLE_ONLY,
    }
    every = await engine.completions.create(**fields, n=5, logprobs=0)
    best = await engine.completions.create(**fields, n=2, best_of=5)
    for prompt in range(2):
        made = every.choices[5 * prompt :][:5]
        by_mean = sorted(made, key=lambda c: -float(np.mean(c.logprobs.token_logprobs)))
        given = best.choices[2 * prompt :][:2]
        assert [c.text for c in given] == [c.text for c in by_mean[:2]]
        assert all(c.logprobs is None for c in given)
    assert [c.index for c in best.choices] == [0, 1, 2, 3]
    assert best.usage.completion_tokens == every.usage.completion_tokens == 100
    assert best.usage.prompt_tokens == every.usage.prompt_tokens


async def test_nothing_is_left_behind(engine: Engine, nothing_left: None) -> None:
    executor = engine.loaded.executor
    await engine.completions.create(prompt="Once", max_tokens=3, logprobs=5, echo=True)
    assert executor.decoder.logprobs is None
