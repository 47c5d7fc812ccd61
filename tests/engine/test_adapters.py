"""LoRA adapters beside a model's weights, against PEFT over transformers in float32."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from engine_tools import PRINTABLE_ONLY, Teacher, said
from expected import Expected
from family_files import write_family_folder
from family_gguf import write_family_gguf
from made_adapters import ADAPTERS, MIX, MadeAdapter, RecordedAdapter, small_gguf
from made_families import FamilyModel, Recorded
from made_models import SMALL
from model_files import Files, write_safetensors

import webllm_py
from webllm_py import (
    AdapterError,
    Engine,
    GPUOutOfMemoryError,
    RequestError,
    StateError,
    sync,
)
from webllm_py.cli import main
from webllm_py.gpu import Device
from webllm_py.gpu.device import Buffer
from webllm_py.loading import decoder
from webllm_py.models.tuning import Tuning
from webllm_py.runtime import executor

TOLERANCE = 5e-5  # the issue asks for 2e-3
# Those that differ most from each other in what becomes of B's rows.
USUAL = {
    "mistral-lora": "gguf",
    "phi3-lora": "safetensors",
    "gpt-neox-lora": "gguf",
    "gpt2-lora": "safetensors",
    "qwen2-yarn-lora": "gguf",
}
FAMILIES = [
    pytest.param(
        adapter,
        kind,
        marks=() if USUAL.get(adapter.name) == kind else pytest.mark.every_family,
        id=f"{adapter.name}-{kind}",
    )
    for adapter in ADAPTERS.values()
    for kind in ("safetensors", "gguf")
    if isinstance(adapter.base, FamilyModel)
    and (adapter.name, kind) != ("qwen3.5-lora", "gguf")  # see below
]


@pytest.fixture(autouse=True)
def few_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernels are compiled for prompts that nobody sends."""
    monkeypatch.setattr(executor, "LONG_PROMPTS", ())


@pytest.mark.parametrize(("adapter", "kind"), FAMILIES)
async def test_families(
    adapter: MadeAdapter, kind: str, tmp_path: Path, plain_device: Device
) -> None:
    """PEFT's folder beside Hugging Face's files and beside GGUF's."""
    recorded, base = RecordedAdapter.load(adapter.name), adapter.base
    assert isinstance(base, FamilyModel)
    model = Recorded.load(base.name)
    weights = base.weights(model.shapes)
    folder = recorded.folder(tmp_path / "adapter", adapter)
    if kind == "gguf":
        file = write_family_gguf(tmp_path / "model.gguf", base, model, weights)
    else:
        file = write_family_folder(tmp_path / base.name, model, weights)
    async with await webllm_py.load(
        file, device=plain_device, kv_dtype="f32", context_length=base.context, tune=False
    ) as engine:
        await engine.load_adapter(folder)
        logits = await engine.logits(adapter.tokens(), adapters=["adapter"])
    error = recorded.expected.error(logits)
    print(f"{adapter.name}, {kind}: {error:.1e}")
    assert error < TOLERANCE


async def test_heads_in_another_order(tmp_path: Path, plain_device: Device) -> None:
    """GGUF's values of a delta net."""
    adapter = ADAPTERS["qwen3.5-lora"]
    assert isinstance(adapter.base, FamilyModel)
    model = Recorded.load(adapter.base.name)
    folder = RecordedAdapter.load(adapter.name).folder(tmp_path / "adapter", adapter)
    weights = adapter.base.weights(model.shapes)
    file = write_family_gguf(tmp_path / "model.gguf", adapter.base, model, weights)
    async with await webllm_py.load(file, device=plain_device, tune=False) as engine:
        with pytest.raises(AdapterError, match="another order than Hugging Face"):
            await engine.load_adapter(folder)


def of_small(name: str, folder: Path) -> Path:
    """PEFT's folder of an adapter of the small model."""
    return RecordedAdapter.load(name).folder(folder / name, ADAPTERS[name])


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Those of the small model."""
    folder = tmp_path_factory.mktemp("adapters")
    return {name: of_small(name, folder) for name in MIX}


@pytest.fixture(scope="module")
async def adapted(
    files: Files, plain_device: Device, adapters: dict[str, Path]
) -> AsyncIterator[Engine]:
    """The small model in float32 with two adapters."""
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        for folder in adapters.values():
            await engine.load_adapter(folder)
        yield engine


TOKENS = ADAPTERS["small-plain"].tokens()


async def test_each_and_both(adapted: Engine, files: Files, plain_device: Device) -> None:
    """Ragged ranks and scales, swapped between calls; without any the model is what it was."""
    for name in (*MIX, *MIX):
        expected = RecordedAdapter.load(name).expected
        tokens = ADAPTERS[name].tokens()
        assert expected.error(await adapted.logits(tokens, adapters=[name])) < TOLERANCE
    mixed, _ = Expected.load("lora-mixed")
    assert mixed.error(await adapted.logits(TOKENS, adapters=MIX)) < TOLERANCE
    plain = await adapted.logits(TOKENS)
    nothing = await adapted.logits(TOKENS, adapters=dict.fromkeys(MIX, 0.0))
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        assert (await engine.logits(TOKENS) == plain).all() and (plain == nothing).all()


@pytest.mark.parametrize("chunk", [128, 32])
async def test_generation(
    adapted: Engine, adapters: dict[str, Path], files: Files, plain_device: Device, chunk: int
) -> None:
    """Logits as generation sees them: the prompt in chunks or a few rows, then token by token."""
    expected = RecordedAdapter.load("small-patterns").expected
    for prompt in (chunk // 4, 5):
        teacher = Teacher([*TOKENS[prompt:], 0])
        await adapted.completions.create(
            prompt=TOKENS[:prompt],
            max_tokens=len(TOKENS) - prompt + 1,
            temperature=0,
            ignore_eos=True,
            logits_processors=[teacher],
            adapters=["small-patterns"],
        )
        assert expected.error(np.array(teacher.seen), first=prompt - 1) < TOLERANCE


REQUESTS: tuple[dict[str, Any], ...] = (
    {"adapters": ["small-plain"]},
    {},
    {"model": "small-patterns"},
    {"adapters": MIX},
    {"lora": [{"id": 1, "scale": 0.25}]},
)


async def test_different_ones_in_one_batch(adapted: Engine) -> None:
    """Requests that are decoded together get what each gets alone, which differs."""
    alone = [await said(adapted, "One", n=1, **request) for request in REQUESTS]
    assert len(set(alone)) == len(alone)
    for _ in range(2):
        # What a slot had before is nothing to who comes next.
        await said(adapted, "One", n=3, max_tokens=2, adapters=["small-patterns"])
        together = await asyncio.gather(*[said(adapted, "One", **one) for one in REQUESTS])
        assert together == alone


async def test_several_answers_and_guesses(adapted: Engine) -> None:
    fields = {"adapters": ["small-plain"], "max_tokens": 60}
    once = await said(adapted, "Again and again", prompt_lookup=False, **fields)
    assert await said(adapted, "Again and again", **fields) == once
    reply = await adapted.completions.create(
        prompt="Again and again",
        temperature=0,
        n=3,
        logit_bias=PRINTABLE_ONLY,
        **fields,
    )
    assert [choice.text for choice in reply.choices] == [once] * 3


async def test_what_python_has_a_say_in(adapted: Engine) -> None:
    """A grammar that allows everything changes nothing; log-probabilities are the adapter's."""
    fields: dict[str, Any] = {"adapters": ["small-plain"], "max_tokens": 20}
    free = await said(adapted, "One", **fields)
    assert await said(adapted, "One", grammar="root ::= [ -~]*", **fields) == free
    fields |= {"temperature": 0, "max_tokens": 1, "ignore_eos": True}
    reply = await adapted.completions.create(prompt=TOKENS[:9], echo=True, logprobs=0, **fields)
    found = reply.choices[0].logprobs.token_logprobs
    logits = np.array(await adapted.logits(TOKENS[:9], adapters=["small-plain"]), np.float64)
    scores = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = [scores[i, token] for i, token in enumerate(TOKENS[1:9])] + [scores[-1].max()]
    np.testing.assert_allclose(found[1:], expected, atol=1e-4)


async def test_prefixes_are_of_the_same_adapters(adapted: Engine) -> None:
    """What is cached with one is nobody's prefix with another, at another scale, or without."""
    prompt = TOKENS[:40]

    async def cached(**fields: Any) -> int:
        reply = await adapted.completions.create(prompt=prompt, max_tokens=3, **fields)
        return int(reply.usage.prompt_tokens_details.cached_tokens)

    adapted.loaded.executor.cache.pages.clear()
    requests = [*REQUESTS, {"adapters": {"small-plain": 0.5}}]
    assert [await cached(**request) for request in requests] == [0] * len(requests)
    assert all([await cached(**request) for request in requests])
    assert await cached(model="small-plain") and await cached(adapters={"small-plain": 0})


async def test_states_remember_their_adapters(
    adapted: Engine, adapters: dict[str, Path], files: Files, plain_device: Device
) -> None:
    said_first = await said(adapted, "A state", adapters=MIX)
    state = await adapted.save_state()
    async with await webllm_py.load(
        files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
    ) as engine:
        with pytest.raises(StateError, match="adapters that this engine has not loaded"):
            await engine.load_state(state)
        for name in reversed(MIX):
            await engine.load_adapter(adapters[name], name=name)
        await engine.load_state(state)
        reply = await engine.completions.create(prompt="A state" + said_first, adapters=MIX)
        assert reply.usage.prompt_tokens_details.cached_tokens > 30
        reply = await engine.completions.create(prompt="A state" + said_first)
        assert reply.usage.prompt_tokens_details.cached_tokens == 0


async def test_memory_and_plans(
    files: Files, plain_device: Device, adapters: dict[str, Path]
) -> None:
    """Unloading frees what loading took, in any order; plans without adapters are never made
    anew, and those with them have one dispatch more for each matrix that has some."""
    device = plain_device
    async with await webllm_py.load(files.huggingface(SMALL), device=device, tune=False) as engine:
        executor = engine.loaded.executor
        await said(engine)
        plans = dict(executor._plans)
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
        assert dict(executor._plans) == plans
        await engine.load_adapter(adapters["small-plain"], name="a")
        counts = [len(executor.forward(1, adapted=wanted)) for wanted in (False, True)]
        assert counts[1] - counts[0] == 4 * SMALL.layers


async def test_fewer_dispatches_of_a_step(
    files: Files, plain_device: Device, adapters: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, first halves are made by what comes before, where splits of attention are put
    together or not: with adapters a dispatch more than without, behind the table of tokens."""
    answers, added = [], []
    for fused_keys, ahead_bytes in ((0, 0), (96, 0), (0, 1 << 30), (96, 1 << 30)):
        tuning = Tuning(attention_threads=32, fused_keys=fused_keys, ahead_bytes=ahead_bytes)
        monkeypatch.setattr(decoder, "tuning_for", lambda device, chosen=tuning: chosen)
        async with await webllm_py.load(
            files.gguf(SMALL), device=plain_device, kv_dtype="f32", tune=False
        ) as engine:
            for folder in adapters.values():
                await engine.load_adapter(folder)
            answers.append(
                [
                    await said(engine, max_tokens=70, prompt_lookup=False, adapters=wanted)
                    for wanted in (*([name] for name in MIX), MIX, {name: -0.5 for name in MIX})
                ]
            )
            forward, fused = engine.loaded.executor.forward, bool(fused_keys)
            counts = [len(forward(1, adapted=wanted, fused=fused)) for wanted in (False, True)]
            added.append(counts[1] - counts[0])
    assert added == [4 * SMALL.layers + 1, 5 * SMALL.layers + 1, 1, 1]  # one for the logits
    assert answers[1] == answers[2] == answers[3] == answers[0]
    assert len(set(answers[0])) == 4


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


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
async def test_dtypes(adapted: Engine, tmp_path: Path, dtype: str) -> None:
    """Stored in 16 bits, each number differs by its rounding alone."""
    recorded, adapter = RecordedAdapter.load("small-plain"), ADAPTERS["small-plain"]
    await adapted.load_adapter(recorded.folder(tmp_path / dtype, adapter, dtype))
    try:
        error = recorded.expected.error(await adapted.logits(TOKENS, adapters=[dtype]))
        assert 1e-5 < error < (2e-2 if dtype == "F16" else 0.2)
    finally:
        await adapted.unload_adapter(dtype)
