"""Several models in one engine: chosen by requests, side by side on one device."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_tools import said
from made_embedders import EMBEDDERS, write_embedder_gguf
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import Engine, RequestError, sync
from webllm_py.gpu import Device
from webllm_py.serving import Request, Service

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
async def both(
    small_model: Path, files: Files, device: Device, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    """A model, another one with one layer, and an embedder."""
    folder = tmp_path_factory.mktemp("embedder")
    embedder = write_embedder_gguf(folder / "embedder.gguf", EMBEDDERS["bert-3x32"])
    async with await webllm_py.load(small_model, device=device, tune=False) as engine:
        await engine.add_model(other_model(files), tune=False)
        await engine.add_model(embedder, name="vectors")
        yield engine


def other_model(files: Files) -> Path:
    return files.gguf(replace(SMALL, name="other", layers=1))


async def test_requests_choose(both: Engine, engine: Engine, files: Files, device: Device) -> None:
    assert [*both.models] == ["small", "other", "vectors"]
    expected = await said(engine)
    async with await webllm_py.load(other_model(files), device=device, tune=False) as alone:
        others = await said(alone)
    assert others != expected
    for name, text in ((None, expected), ("small", expected), ("other", others)):
        assert await said(both, model=name) == text
    assert await said(both.models["other"]) == others
    assert await said(both, extra_body={"model": "other"}) == others
    reply = await both.chat.completions.create(model="other", messages=MESSAGES, max_tokens=3)
    assert reply.model == "other"
    vectors = await both.embeddings.create(model="vectors", input="ab")
    assert len(vectors.data[0].embedding) == both.models["vectors"].info["hidden_size"]


async def test_a_name_that_none_has(both: Engine) -> None:
    for create, fields in (
        (both.completions.create, {"prompt": "x"}),
        (both.chat.completions.create, {"messages": MESSAGES}),
        (both.embeddings.create, {"input": "x"}),
    ):
        with pytest.raises(RequestError, match="only 'small', 'other', 'vectors'") as error:
            await create(model="gpt-4", **fields)  # type: ignore[operator]
        assert error.value.to_openai()["error"]["code"] == "model_not_found"
        assert error.value.param == "model"


async def test_they_answer_at_the_same_time(both: Engine) -> None:
    """While one answers, and another one is waited for, the other begins and ends."""
    long = await both.completions.create(
        prompt="x", max_tokens=400, ignore_eos=True, stream=True, temperature=0
    )
    waiting = asyncio.ensure_future(both.logits([65, 66]))
    await anext(long)
    assert len(await said(both, model="other", max_tokens=5)) == 5
    assert both.answering == 1 and not waiting.done()
    together = await asyncio.gather(*(said(both, model=n) for n in ("small", "other") * 3))
    assert [*together[:2]] == [*together[2:4]] == [*together[4:]]
    await long.aclose()
    await waiting


async def test_names_and_removal(both: Engine, small_model: Path, device: Device) -> None:
    before = device.n_buffers
    again = await both.add_model(small_model, tune=False)
    assert again.name == again.info["name"] == "small-2" and [*both.models][-1] == "small-2"
    assert (await again.completions.create(prompt="x", max_tokens=1)).model == "small-2"
    with pytest.raises(ValueError, match="has a model 'other'"):
        await both.add_model(small_model, name="other")
    with pytest.raises(ValueError, match="must be a string, not 5"):
        await both.add_model(small_model, name=5)  # type: ignore[arg-type]
    with pytest.raises(webllm_py.SourceError):
        await both.add_model(small_model.with_name("nowhere.gguf"))
    await again.unload()
    assert device.n_buffers == before and "small-2" not in both.models
    assert len(await said(both)) == 40
    with pytest.raises(RequestError):
        await said(both, model="small-2")


async def test_names_of_models_that_load_at_the_same_time(both: Engine, small_model: Path) -> None:
    """They are those of models that load one after the other: a name is given once, and whoever
    takes its own goes around it. Where loading fails, its name is free again."""
    outcomes = await asyncio.gather(
        both.add_model(small_model, name="twin", tune=False),
        both.add_model(small_model, name="twin", tune=False),
        both.add_model(small_model, name="small-2", tune=False),
        both.add_model(small_model, tune=False),
        both.add_model(small_model.with_name("nowhere.gguf"), name="gone"),
        return_exceptions=True,
    )
    assert [str(error) for error in outcomes if isinstance(error, ValueError)] == [
        "this engine has a model 'twin' already; give another name"
    ]
    added = [each for each in outcomes if isinstance(each, Engine)]
    assert [each.name for each in added] == ["twin", "small-2", "small-3"]
    assert {*both.models} == {"small", "other", "vectors", "twin", "small-2", "small-3"}
    for each in added:
        await each.unload()
    again = await both.add_model(small_model, name="gone", tune=False)
    await again.unload()
    assert [*both.models] == ["small", "other", "vectors"]


async def test_a_device_that_all_of_them_lose(small_model: Path, files: Files) -> None:
    """They find themselves on one new device again."""
    async with await webllm_py.load(small_model, tune=False) as engine:
        other = await engine.add_model(other_model(files), tune=False)
        expected = [await said(engine), await said(other)]
        lost = engine.loaded.owner.device
        lost._device.destroy()  # type: ignore[attr-defined]
        assert [*await asyncio.gather(said(engine), said(other))] == expected
        assert engine.loaded.owner.device is other.loaded.owner.device is not lost


async def test_a_server_of_several(both: Engine) -> None:
    service = Service(both)

    async def asked(method: str, path: str, fields: Any = None) -> tuple[int, Any]:
        reply = await service.answer(Request(method, path, json.dumps(fields).encode()))
        assert isinstance(reply.body, bytes)
        return reply.status, json.loads(reply.body)

    status, models = await asked("GET", "/v1/models")
    assert [model["id"] for model in models["data"]] == ["small", "other", "vectors"]
    assert (await asked("GET", "/v1/models/other"))[1]["id"] == "other"
    fields = {"model": "other", "prompt": "x", "max_tokens": 2}
    assert (await asked("POST", "/v1/completions", fields))[1]["model"] == "other"
    fields = {"model": "vectors", "input": "x"}
    assert (await asked("POST", "/v1/embeddings", fields))[0] == 200
    status, error = await asked("POST", "/v1/completions", {"model": "none", "prompt": "x"})
    assert status == 404 and error["error"]["code"] == "model_not_found"


def test_without_await(small_model: Path) -> None:
    with sync.load(small_model, tune=False) as engine:
        other = engine.add_model(small_model, name="two", tune=False)
        texts = [
            engine.completions.create(model=name, prompt="x", max_tokens=5, temperature=0)
            for name in engine.models
        ]
        assert texts[0].choices[0].text == texts[1].choices[0].text
        other.unload()
        assert [*engine.models] == ["small"]
