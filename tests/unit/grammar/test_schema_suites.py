"""Real schemas and the standard's own tests: what is accepted is exact, the rest is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

from canonical import canonical

from webllm_py.errors import GrammarError, UnsupportedSchemaError
from webllm_py.grammar import Grammar, schema_grammar

Case = tuple[str, Any, list[tuple[Any, bool]]]


def judged(cases: Iterable[Case]) -> tuple[list[str], list[str], list[str]]:
    """Names of the schemas that were refused, judged rightly, and judged wrongly."""
    refused, right, wrong = [], [], []
    for name, schema, tests in cases:
        try:
            grammar = schema_grammar(schema)
        except UnsupportedSchemaError as error:
            assert error.keyword and error.path and error.keyword in str(error)
            refused.append(name)
            continue
        except GrammarError as error:
            assert str(error) == "no value satisfies this schema"
            (wrong if any(valid for _, valid in tests) else right).append(name)
            continue
        exact = all(grammar.matches(canonical(value)) is valid for value, valid in tests)
        (right if exact else wrong).append(name)
    return refused, right, wrong


def written(grammar: Grammar, chosen: random.Random) -> bytes | None:
    """A text that a grammar allows, each byte drawn; None where it grew too long."""
    state, text = grammar.start(), bytearray()
    while len(text) < 1500:
        allowed = [byte for byte in range(256) if state.first() >> byte & 1]
        if state.complete and (not allowed or chosen.random() < 0.5):
            return bytes(text)
        assert allowed, f"a dead end behind {bytes(text)!r}"
        closing = [byte for byte in allowed if byte in b'"}]']
        text.append(chosen.choice(closing if closing and chosen.random() < 0.7 else allowed))
        following = state.step(text[-1])
        assert following is not None, f"a byte that leads nowhere behind {bytes(text)!r}"
        state = following
    return None


def test_every_text_under_a_real_schema_can_be_finished(
    schema_data: Callable[[str], list[Any]],
) -> None:
    chosen = random.Random(7)
    finished = 0
    for case in schema_data("maskbench-400.jsonl")[::4]:
        try:
            grammar = schema_grammar(case["schema"])
        except UnsupportedSchemaError:
            continue
        text = written(grammar, chosen)
        if text is not None:
            json.loads(text)
            finished += 1
    assert finished > 40


def test_maskbench(schema_data: Callable[[str], list[Any]]) -> None:
    refused, right, wrong = judged(
        (case["id"], case["schema"], [(t["data"], t["valid"]) for t in case["tests"]])
        for case in schema_data("maskbench-400.jsonl")
    )
    assert wrong == []
    assert len(right) >= 390, refused


def test_json_schema_test_suite(schema_data: Callable[[str], Any]) -> None:
    refused, right, wrong = judged(
        (
            f"{keyword}: {group['description']}",
            group["schema"],
            [(t["data"], t["valid"]) for t in group["tests"]],
        )
        for keyword, groups in schema_data("json-schema-test-suite-2020-12.json").items()
        for group in groups
    )
    assert wrong == []
    assert len(right) >= 164, refused
