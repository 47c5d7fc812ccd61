"""What requests for embeddings may ask, and the shape of what they get."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_embedders import (
    EMBEDDERS,
    WORDS,
    vectors,
)

import webllm_py
from webllm_py import ContextLengthError, Engine, RequestError
from webllm_py.cli import main
from webllm_py.gpu import Device

MEAN = EMBEDDERS["bert-2x40"]


async def test_every_kind_of_input(embedder: Engine) -> None:
    ids = [2, WORDS.index("a"), WORDS.index("##b"), 3]
    assert embedder.tokenizer.encode("ab", add_special=True) == ids
    [by_text] = await vectors(embedder, "ab")
    [by_ids] = await vectors(embedder, ids)
    both = await vectors(embedder, ["Ab", ids])
    by_array = await vectors(embedder, np.array([ids, ids]))
    for found in (by_ids, *both, *by_array):
        np.testing.assert_array_equal(found, by_text)
    assert np.linalg.norm(by_text) == pytest.approx(1, abs=1e-6)


async def test_the_response_has_openai_s_shape(embedder: Engine) -> None:
    reply = await embedder.embeddings.create(input=["ab", "c"], user="somebody")
    assert reply.to_dict().keys() == {"data", "model", "object", "usage"}
    assert (reply.object, reply.model) == ("list", "made-embedder")
    assert reply.usage.to_dict() == {"prompt_tokens": 7, "total_tokens": 7}
    for index, entry in enumerate(reply["data"]):
        assert entry.to_dict().keys() == {"embedding", "index", "object"}
        assert (entry.object, entry.index) == ("embedding", index)
        assert {type(number) for number in entry.embedding} == {float}
        assert len(entry.embedding) == MEAN.hidden
    json.dumps(reply.to_dict())
    assert (await embedder.embeddings.create(input="a", model="mine")).model == "mine"


async def test_the_command_does_not_chat_with_it(
    embedder_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(main, ["chat", str(embedder_folder), "--no-tune"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and "made-embedder is a text embedder: it writes nothing" in shown.err


async def test_base64_holds_the_same_numbers(embedder: Engine) -> None:
    [plain] = await vectors(embedder, "ab")
    reply = await embedder.embeddings.create(input="ab", encoding_format="base64")
    text = reply.data[0].embedding
    assert isinstance(text, str)
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(text), "<f4"), plain)


async def test_fewer_dimensions_are_the_first_at_length_1(embedder: Engine) -> None:
    [whole] = await vectors(embedder, "ab")
    [part] = await vectors(embedder, "ab", dimensions=10)
    np.testing.assert_allclose(part, whole[:10] / np.linalg.norm(whole[:10]), rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": ["a", ""]}, "input[1]", "invalid_value"),
        ({"input": [[5], []]}, "input[1]", "invalid_value"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": ["a", 5]}, "input[1]", "invalid_type"),
        ({"input": ["a"] * 2049}, "input", "invalid_value"),
        ({"input": [[5], [57]]}, "input[1]", "invalid_value"),
        ({"input": [-1]}, "input[0]", "invalid_value"),
        ({"input": "a", "dimensions": 0}, "dimensions", "invalid_value"),
        ({"input": "a", "dimensions": 81}, "dimensions", "invalid_value"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ({"input": "a", "dimension": 5}, "dimension", "unknown_parameter"),
        ({"input": "a", "stream": True}, "stream", "unknown_parameter"),
    ],
)
async def test_wrong_fields_are_named(
    embedder: Engine, fields: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(RequestError) as caught:
        await embedder.embeddings.create(**fields)
    assert (caught.value.param, caught.value.code) == (param, code)


async def test_a_text_that_is_too_long_is_refused_with_the_limit(
    embedder_folder: Path, embedder: Engine, device: Device
) -> None:
    letters = "a " * (MEAN.positions - 2)
    assert len(await vectors(embedder, letters)) == 1
    with pytest.raises(ContextLengthError, match=r"70 tokens.*input\[1\] has 71") as caught:
        await embedder.embeddings.create(input=["a", letters + "a"])
    assert caught.value.code == "context_length_exceeded"
    async with await webllm_py.load(embedder_folder, device=device, context_length=10) as engine:
        with pytest.raises(ContextLengthError, match="10 tokens"):
            await engine.embeddings.create(input=list(range(5, 16)))


async def test_an_embedder_writes_nothing(embedder: Engine) -> None:
    question = [{"role": "user", "content": "a"}]
    for asked in (
        embedder.chat.completions.create(messages=question),
        embedder.completions.create(prompt="a"),
        embedder.logits("a"),
    ):
        with pytest.raises(RequestError, match=r"embeddings\.create") as caught:
            await asked
        assert caught.value.code == "model_not_supported"


async def test_a_model_that_writes_embeds_nothing(engine: Engine) -> None:
    with pytest.raises(RequestError, match="text embedder") as caught:
        await engine.embeddings.create(input="a")
    assert (caught.value.param, caught.value.code) == ("model", "model_not_supported")
