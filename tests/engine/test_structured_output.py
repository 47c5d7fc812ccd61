"""``response_format`` on the pocket model: whatever is drawn, the text is what was asked for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from engine_tools import EOS

from webllm_py import Engine
from webllm_py.api.responses import ChatCompletion
from webllm_py.errors import GrammarError

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "ü"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
QUESTION = [{"role": "user", "content": "Tell me of a person."}]


def is_person(text: str) -> bool:
    found = json.loads(text)
    return (
        set(found) == {"name", "age", "tags"}
        and len(found["name"]) <= 12
        and 0 <= found["age"] <= 150
        and len(found["tags"]) <= 3
        and set(found["tags"]) <= {"a", "b", "ü"}
    )


@pytest.mark.parametrize("seed", range(4))
async def test_a_schema_at_a_high_temperature(engine: Engine, seed: int) -> None:
    reply = await engine.chat.completions.create(
        messages=QUESTION,
        response_format=FORMAT,
        temperature=2,
        top_p=1 if seed % 2 else 0.95,
        top_k=0 if seed < 2 else 50,
        seed=seed,
        max_tokens=200,
    )
    assert reply.choices[0].finish_reason == "stop"
    assert is_person(reply.choices[0].message.content)


async def test_streamed_and_greedy_and_several(engine: Engine) -> None:
    fields: dict[str, Any] = {"response_format": FORMAT, "temperature": 0, "max_tokens": 200}
    whole = await engine.chat.completions.create(messages=QUESTION, **fields)
    text = ""
    async for piece in await engine.chat.completions.create(
        messages=QUESTION, stream=True, **fields
    ):
        text += piece.choices[0].delta.content or ""
    assert text == whole.choices[0].message.content
    assert is_person(text)
    fields |= {"temperature": 1.5, "n": 2, "seed": 5}
    several = await engine.chat.completions.create(messages=QUESTION, **fields)
    texts = [choice.message.content for choice in several.choices]
    assert all(map(is_person, texts)) and texts[0] != texts[1]


async def test_a_regex_and_a_grammar(engine: Engine) -> None:
    fields: dict[str, Any] = {"prompt": "Phone:", "temperature": 1.5, "max_tokens": 40, "seed": 1}
    reply = await engine.completions.create(
        response_format={"type": "regex", "regex": r"\(\d{3}\) \d{3}-\d{4}"},
        **fields,
    )
    text = reply.choices[0].text
    assert len(text) == 14 and text[0] == "(" and text[4:6] == ") " and text[9] == "-"
    reply = await engine.completions.create(
        response_format={"type": "grammar", "grammar": 'root ::= "yes" | "no" | "may" "be"?'},
        **fields,
    )
    assert reply.choices[0].text in ("yes", "no", "may", "maybe")
    assert reply.choices[0].finish_reason == "stop"


async def test_with_a_processor_that_wants_something_else(engine: Engine) -> None:
    """The processor changes what is likely, the grammar what is possible."""

    def wants_hash(logits: Any) -> Any:
        logits[engine.tokenizer.encode("#")[0]] += 100
        logits[engine.tokenizer.encode("7")[0]] += 50
        return logits

    reply = await engine.completions.create(
        prompt="1 2 3",
        response_format={"type": "regex", "regex": "[0-9]{5}"},
        logits_processors=[wants_hash],
        temperature=0,
        max_tokens=20,
    )
    assert reply.choices[0].text == "77777"


async def test_what_follows_is_free_again(engine: Engine) -> None:
    before = await engine.completions.create(prompt="Once", temperature=0, max_tokens=12)
    await engine.completions.create(
        prompt="Once", temperature=0, max_tokens=12, response_format={"type": "json_object"}
    )
    after = await engine.completions.create(prompt="Once", temperature=0, max_tokens=12)
    assert after.choices[0].text == before.choices[0].text


async def test_how_long_each_token_took(engine: Engine) -> None:
    """WebLLM's switch and names; nothing of it without."""
    fields: dict[str, Any] = {"prompt": "Once", "max_tokens": 12, "seed": 1}
    masked = {"response_format": {"type": "regex", "regex": "[a-z]{5}[0-9]{20}"}}
    plain = await engine.completions.create(**fields, **masked)
    assert "extra" not in plain.usage
    reply = await engine.completions.create(
        **fields, **masked, extra_body={"enable_latency_breakdown": True}
    )
    extra, times = reply.usage.extra, reply.usage.extra.latencyBreakdown
    assert extra.decode_tokens_per_s == reply.usage.timings.decode_tokens_per_s
    assert len(times.totalTime) == 12 and min(times.totalTime) >= 0
    assert sum(times.totalTime) <= extra.e2e_latency_s
    assert 0 < len(times.grammarBitmaskTime) <= 12
    assert extra.grammar_per_token_s == pytest.approx(sum(times.grammarBitmaskTime) / 12)
    assert 0 <= extra.grammar_init_s < extra.e2e_latency_s
    assert (times.sampleTime, times.logitProcessorTime) == ([], [])
    reply = await engine.completions.create(
        **fields, n=2, enable_latency_breakdown=True, logits_processors=[lambda logits: logits]
    )
    times = reply.usage["extra"]["latencyBreakdown"]
    assert len(times["totalTime"]) == len(times["logitProcessorTime"]) == 24
    assert not times["grammarBitmaskTime"] and "grammar_init_s" not in reply.usage["extra"]


async def test_a_grammar_that_becomes_too_ambiguous(engine: Engine) -> None:
    """It fails while its text is written, and no other request with it."""
    ambiguous = {"type": "grammar", "grammar": 'root ::= x\nx ::= "a" x? x? x?'}
    failing = engine.chat.completions.create(
        messages=QUESTION, response_format=ambiguous, max_tokens=60, logit_bias={EOS: -100}
    )
    going_on = engine.chat.completions.create(messages=QUESTION, max_tokens=5, ignore_eos=True)
    error, reply = await asyncio.gather(failing, going_on, return_exceptions=True)
    assert isinstance(error, GrammarError) and "too ambiguous" in str(error)
    assert isinstance(reply, ChatCompletion) and reply.usage.completion_tokens == 5
    again = await engine.chat.completions.create(messages=QUESTION, max_tokens=5, ignore_eos=True)
    assert again.usage.completion_tokens == 5
