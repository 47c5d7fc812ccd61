"""Whatever a model says, at temperature 2, an answer under a real schema is what the schema wants.

The weights are random; another implementation judges (the ``jsonschema`` package). Of MaskBench's
schemas ``--schemas 100`` takes that many.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import webllm_py
from webllm_py import Engine
from webllm_py.errors import UnsupportedSchemaError
from webllm_py.gpu import Device
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

SCHEMAS = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "json-schema" / "maskbench-400.jsonl"
)
MOST_TOKENS = 400
# Of tokens that close something: strings come to an end, so that more answers do.
CLOSING = 16


@pytest.fixture(scope="module")
async def random_engine(
    device: Device, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    path = tmp_path_factory.mktemp("random") / "tiny.gguf"
    write_random_model(path, "tiny", SHAPES["tiny"], "q4_0")
    async with await webllm_py.load(path, device=device) as engine:
        yield engine


def schemas(count: int) -> list[tuple[str, Any]]:
    """So many that are taken, evenly out of all."""
    lines = SCHEMAS.read_text(encoding="utf-8").splitlines()
    cases = [json.loads(line) for line in lines[:: max(1, len(lines) // count)]]
    return [(case["id"], case["schema"]) for case in cases]


async def test_random_answers(random_engine: Engine, pytestconfig: pytest.Config) -> None:
    if not SCHEMAS.is_file():
        pytest.skip(f"the test data is missing: {SCHEMAS}")
    count = pytestconfig.getoption("schemas")
    texts = (random_engine.tokenizer.decode([token]) for token in range(1024))
    bias = {i: CLOSING for i, text in enumerate(texts) if text and {*text} <= {*'"]}'}}
    ended = cut = refused = 0
    for seed, (name, schema) in enumerate(schemas(count)):
        try:
            reply = await random_engine.completions.create(
                prompt="{}",
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "any", "schema": schema},
                },
                temperature=2,
                seed=seed,
                max_tokens=MOST_TOKENS,
                logit_bias=bias,
            )
        except (webllm_py.RequestError, UnsupportedSchemaError):
            refused += 1
            continue
        if reply.choices[0].finish_reason == "length":
            cut += 1
            continue
        value = json.loads(reply.choices[0].text)
        judge = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
        problems = [*judge(schema).iter_errors(value)]
        assert not problems, f"{name}: {reply.choices[0].text}: {problems[0].message}"
        ended += 1
    print(f"{ended} ended, {cut} cut, {refused} refused")
    assert ended and refused <= max(1, count / 20)
