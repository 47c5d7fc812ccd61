"""LoRA adapters loaded, refused and unloaded beside a model, and named by each kind of caller."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from engine_tools import said
from expected import Expected
from made_adapters import ADAPTERS, MIX, TOKENS, TOLERANCE, RecordedAdapter, small_gguf
from made_models import SMALL
from model_files import Files, write_safetensors

import webllm_py
from webllm_py import AdapterError, Engine, GPUOutOfMemoryError, RequestError, sync
from webllm_py.cli import main
from webllm_py.gpu import Device
from webllm_py.gpu.device import Buffer

pytestmark = pytest.mark.usefixtures("no_long_prompts")


async def test_memory_and_plans(
    files: Files, plain_device: Device, adapters: dict[str, Path]
) -> None:
    """Unloading frees what loading took, in any order; plans without adapters are never made
    anew, and those with them have one dispatch more for each matrix that has some."""
    device = plain_device
    async with await webllm_py.load(files.huggingface(SMALL), device=device, tune=False) as engine:
        executor = engine.loaded.executor
        await said(engine)
        plans = dict(executor.plans.recorded)
        await engine.load_adapter(adapters["small-plain"], name="first")
        await engine.unload_adapter("first")
        empty = device.n_buffers, device.allocated
        for order in (("a", "b"), ("b", "a")):
            one = await engine.load_adapter(adapters["small-plain"], name="a")
            between = device.n_buffers, device.allocated
            assert engine.info["gpu_memory"] == engine.loaded.owner.nbytes
            assert device.allocated - empty[1] == one.nbytes > 4 * one.n_parameters
            await engine.load_adapter(adapters["small-patterns"], name="b")
            first = await said(engine, adapters=["a"]), await said(engine, adapters=["b"])
            kept = await said(engine, adapters=[order[1]])
            await engine.unload_adapter(order[0])
            assert list(engine.adapters) == [order[1]]
            assert await said(engine, adapters=[order[1]]) == kept
            assert first[0] != first[1]
            if order[0] == "b":
                assert (device.n_buffers, device.allocated) == between
            await engine.unload_adapter(order[1])
            assert (device.n_buffers, device.allocated) == empty
        assert dict(executor.plans.recorded) == plans
        await engine.load_adapter(adapters["small-plain"], name="a")
        counts = [len(executor.forward(1, adapted=wanted)) for wanted in (False, True)]
        assert counts[1] - counts[0] == 4 * SMALL.layers


async def test_ggufs_own(tmp_path: Path, files: Files, plain_device: Device) -> None:
    """llama.cpp's file, whose q and k are reordered, beside both kinds of model."""
    adapter, recorded = ADAPTERS["small-plain"], RecordedAdapter.load("small-plain")
    file = small_gguf(tmp_path / "adapter.gguf", adapter, recorded)
    for model in (files.gguf(SMALL), files.huggingface(SMALL)):
        async with await webllm_py.load(
            model, device=plain_device, kv_dtype="f32", tune=False
        ) as engine:
            found = await engine.load_adapter(file)
            assert (found.name, found.rank, found.modules) == ("small-plain", 8, 14)
            logits = await engine.logits(TOKENS, adapters=["small-plain"])
            assert recorded.expected.error(logits) < TOLERANCE


def changed(folder: Path, rename: Callable[[str], str], cut: int = 0) -> Path:
    """The plain adapter with other modules, or shorter rows in A."""
    recorded = RecordedAdapter.load("small-plain")
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(recorded.config))
    weights = {}
    for name, weight in ADAPTERS["small-plain"].weights(recorded.shapes).items():
        short = weight[:, : weight.shape[1] - cut] if cut and "lora_A" in name else weight
        weights[rename(name)] = np.ascontiguousarray(short)
    write_safetensors(folder / "adapter_model.safetensors", weights, "F32")
    return folder


async def test_what_does_not_fit_changes_nothing(
    adapted: Engine, adapters: dict[str, Path], tmp_path: Path
) -> None:
    device = adapted.loaded.executor.device
    before = device.n_buffers, device.allocated, dict(adapted.loaded.executor.adapters.matrices)
    for name, words, rename, cut in (
        ("unknown", r"no such linear\s+layer", lambda n: n.replace("q_proj", "z_proj"), 0),
        ("norms", "embeddings, norms", lambda n: n.replace("mlp.up_proj", "input_layernorm"), 0),
        ("layers", r"layers\.7\.", lambda n: n.replace("layers.1.", "layers.7."), 0),
        ("narrow", "takes 127 numbers there, and 128 here", str, 1),
        ("swapped", "gives 128 numbers there, and 64 here", swapped, 0),
    ):
        with pytest.raises(AdapterError, match=words):
            await adapted.load_adapter(changed(tmp_path / name, rename, cut))
    with pytest.raises(AdapterError, match=r"of another model|no such linear"):
        await adapted.load_adapter(
            RecordedAdapter.load("phi3-lora").folder(tmp_path / "phi", ADAPTERS["phi3-lora"])
        )
    file = small_gguf(
        tmp_path / "a.gguf", ADAPTERS["small-plain"], RecordedAdapter.load("small-plain")
    )
    data = file.read_bytes().replace(b"llama", b"qwen2", 1)
    file.write_bytes(data)
    with pytest.raises(AdapterError, match="trained for qwen2, and this model is llama"):
        await adapted.load_adapter(file, name="other")
    for name in ("small-plain", "small", ""):
        with pytest.raises(AdapterError, match="is taken"):
            await adapted.load_adapter(adapters["small-plain"], name=name)
    executor = adapted.loaded.executor
    assert (device.n_buffers, device.allocated, dict(executor.adapters.matrices)) == before
    assert list(adapted.adapters) == list(MIX)


def swapped(name: str) -> str:
    """k's adapter for the MLP's gate."""
    parts = {"self_attn.k_proj": "mlp.gate_proj", "mlp.gate_proj": "self_attn.k_proj"}
    for one, two in parts.items():
        if one in name:
            return name.replace(one, two)
    return name


async def test_names_that_are_not_loaded(adapted: Engine) -> None:
    for fields, param in (
        ({"adapters": ["pirate"]}, "adapters"),
        ({"lora": [{"id": 2, "scale": 1}]}, "lora"),
    ):
        with pytest.raises(RequestError, match="is loaded; there are: 'small-plain'") as error:
            await adapted.completions.create(prompt="x", **fields)
        assert (error.value.param, error.value.code) == (param, "adapter_not_found")
    with pytest.raises(RequestError, match="no adapter 'pirate'"):
        await adapted.logits([1], adapters=["pirate"])
    with pytest.raises(RequestError, match="no adapter 'pirate'"):
        await adapted.unload_adapter("pirate")


async def test_no_room(
    files: Files,
    plain_device: Device,
    adapters: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When memory ends on the way, what was there stays and works."""
    device = plain_device
    async with await webllm_py.load(files.gguf(SMALL), device=device, tune=False) as engine:
        await engine.load_adapter(adapters["small-plain"])
        before = await said(engine, model="small-plain")
        held, create, made = (device.n_buffers, device.allocated), device.create_buffer, 0

        def failing(label: str, size: int) -> Buffer:
            nonlocal made
            made += label.endswith("adapters")
            if made > 3:
                raise GPUOutOfMemoryError("no more")
            return create(label, size)

        monkeypatch.setattr(device, "create_buffer", failing)
        with pytest.raises(GPUOutOfMemoryError):
            await engine.load_adapter(adapters["small-patterns"])
        monkeypatch.undo()
        assert (device.n_buffers, device.allocated) == held
        assert list(engine.adapters) == ["small-plain"]
        assert await said(engine, model="small-plain") == before
        await engine.load_adapter(adapters["small-patterns"])
        assert await said(engine, adapters=MIX) not in ("", before)


async def test_recovering_loads_them_again(files: Files, adapters: dict[str, Path]) -> None:
    async with await webllm_py.load(files.gguf(SMALL), kv_dtype="f32", tune=False) as engine:
        for folder in adapters.values():
            await engine.load_adapter(folder)
        await engine.recover()
        assert list(engine.adapters) == list(MIX)
        mixed, _ = Expected.load("lora-mixed")
        assert mixed.error(await engine.logits(TOKENS, adapters=MIX)) < 2e-3


def test_sync_and_in_a_terminal(
    files: Files, adapters: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with sync.load(files.gguf(SMALL), tune=False, kv_dtype="f32") as engine:
        assert engine.load_adapter(adapters["small-plain"], name="plain").rank == 8
        assert list(engine.adapters) == ["plain"]
        expected = RecordedAdapter.load("small-plain").expected
        assert expected.error(engine.logits(TOKENS, adapters=["plain"])) < 2e-3
        fields = {"prompt": "One", "max_tokens": 8, "temperature": 0}
        said = engine.completions.create(model="plain", **fields).choices[0].text
        engine.unload_adapter("plain")
        assert not engine.adapters and said != engine.completions.create(**fields).choices[0].text
    words = "--prompt One --max-tokens 8 --temperature 0 --kv-dtype f32 --no-tune --adapter"
    main(["complete", str(files.gguf(SMALL)), *words.split(), f"plain={adapters['small-plain']}"])
    assert capsys.readouterr().out == said


async def test_openais_client(adapted: Engine) -> None:
    """Adapters are models beside the model, and a field beside OpenAI's."""
    client = webllm_py.openai_client(adapted)
    listed = {model.id: getattr(model, "parent", None) async for model in client.models.list()}
    assert listed == {"small": None, "small-plain": "small", "small-patterns": "small"}
    fields: Any = {"prompt": "One", "max_tokens": 8, "temperature": 0}
    expected = await adapted.completions.create(adapters=["small-plain"], **fields)
    for request in (
        {"model": "small-plain"},
        {"model": "any", "extra_body": {"adapters": {"small-plain": 1.0}}},
    ):
        reply = await client.completions.create(**fields, **request)
        assert reply.choices[0].text == expected.choices[0].text
    with pytest.raises(openai.BadRequestError, match="no adapter 'x' is loaded"):
        await client.completions.create(model="any", **fields, extra_body={"adapters": ["x"]})
