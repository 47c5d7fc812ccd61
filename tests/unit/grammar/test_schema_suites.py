"""Real schemas and the standard's own tests: what is accepted is exact, the rest is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from canonical import canonical

from webllm_py.errors import GrammarError, UnsupportedSchemaError
from webllm_py.grammar.schema.compiler import schema_grammar

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
