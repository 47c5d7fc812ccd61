"""Models that cannot be run: refused by name, within a second, and nothing stays behind."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import open_files
from made_models import SMALL, weights_of
from model_files import config_json, gguf_metadata, gguf_writer, write_folder

import webllm_py
from webllm_py import (
    CorruptCheckpointError,
    DeviceLimitError,
    Engine,
    LoadProgress,
    MissingFileError,
    NoAdapterError,
    SourceError,
    TokenizerError,
    UnsupportedModelError,
)
from webllm_py.checkpoint import GGUFWriter
from webllm_py.gpu import Device

Refused = Callable[[Path, type[Exception], str], Awaitable[None]]


@pytest.fixture
def refused(device: Device, engine: Engine, tmp_path: Path) -> Refused:
    """Loads, and wants an error of exactly this type."""

    async def load(source: Path, error: type[Exception], match: str) -> None:
        before = device.n_buffers
        began = time.thread_time()  # other threads may compile for the engine's longer prompts
        with pytest.raises(error, match=match) as caught:
            await webllm_py.load(source, device=device)
        assert caught.type is error
        assert time.thread_time() - began < 1
        assert device.n_buffers == before
        assert open_files(tmp_path) == []

    return load


class TestFolders:
    @pytest.mark.parametrize(
        ("change", "error", "match"),
        [
            ({"model_type": "mamba"}, UnsupportedModelError, "'mamba' is not supported"),
            ({"model_type": None}, UnsupportedModelError, "names no model_type"),
            ({"hidden_act": "relu2"}, UnsupportedModelError, "activation 'relu2'"),
            ({"quantization_config": {"quant_method": "gptq"}}, UnsupportedModelError, "'gptq'"),
            ({"rope_scaling": {"type": "ntk"}}, UnsupportedModelError, "'ntk'"),
            ({"rope_scaling": {"type": "yarn"}}, CorruptCheckpointError, "factor = None"),
            ({"rope_scaling": "linear"}, CorruptCheckpointError, "rope_scaling = 'linear'"),
            ({"rope_scaling": {"type": "linear"}}, CorruptCheckpointError, "factor = None"),
            ({"head_dim": 12}, UnsupportedModelError, "12 elements"),
            ({"head_dim": 512}, UnsupportedModelError, "512 elements"),
            ({"num_attention_heads": 5}, CorruptCheckpointError, "cannot share"),
            ({"num_attention_heads": 0}, CorruptCheckpointError, "number of heads is 0"),
            ({"num_attention_heads": 8}, CorruptCheckpointError, r"attn_q\.weight has shape"),
            ({"num_key_value_heads": -2}, CorruptCheckpointError, "n_kv_heads = -2"),
            ({"hidden_size": 128}, CorruptCheckpointError, "has shape"),
            ({"intermediate_size": "128"}, CorruptCheckpointError, "intermediate_size = '128'"),
            ({"num_hidden_layers": 3}, CorruptCheckpointError, r"lacks the tensor blk\.2\."),
            ({"num_hidden_layers": 1}, UnsupportedModelError, "tensors that llama models do not"),
            ({"num_hidden_layers": 2**40}, CorruptCheckpointError, "n_layers = 1099511627776"),
            ({"rms_norm_eps": 0}, CorruptCheckpointError, "norm_eps = 0"),
            ({"rms_norm_eps": float("nan")}, CorruptCheckpointError, "norm_eps = nan"),
            ({"rope_theta": "big"}, CorruptCheckpointError, "rope_theta = 'big'"),
            ({"max_position_embeddings": 0}, CorruptCheckpointError, "context_length = 0"),
        ],
        ids=lambda value: str(value)[:40],
    )
    async def test_config(
        self,
        refused: Refused,
        tmp_path: Path,
        change: dict[str, Any],
        error: type[Exception],
        match: str,
    ) -> None:
        config = {**config_json(SMALL), **change}
        folder = write_folder(tmp_path / "model", SMALL, weights_of(SMALL), config=config)
        await refused(folder, error, match)

    @pytest.mark.parametrize(
        ("name", "value", "error", "match"),
        [
            ("layers.1.mlp.up_proj.weight", None, CorruptCheckpointError, "lacks the tensor"),
            ("norm.weight", None, CorruptCheckpointError, "lacks the tensor output_norm"),
            ("embed_tokens.weight", None, CorruptCheckpointError, "neither an embedding table"),
            ("layers.0.self_attn.q_proj.weight", (96, 128), CorruptCheckpointError, "has shape"),
            ("layers.0.input_layernorm.weight", (95,), CorruptCheckpointError, "has shape"),
            ("layers.0.input_layernorm.weight", (96, 1), CorruptCheckpointError, "has shape"),
            ("layers.0.self_attn.q_proj.bias", (128,), CorruptCheckpointError, "attn_k.bias"),
            ("layers.0.self_attn.q_norm.weight", (32,), UnsupportedModelError, "do not use"),
            ("layers.2.mlp.up_proj.weight", (128, 96), UnsupportedModelError, "do not use"),
            ("embed_tokens.weight", (200, 96), CorruptCheckpointError, "do not belong together"),
        ],
    )
    async def test_tensors(
        self,
        refused: Refused,
        tmp_path: Path,
        name: str,
        value: tuple[int, ...] | None,
        error: type[Exception],
        match: str,
    ) -> None:
        weights = weights_of(SMALL)
        if value is None:
            del weights[f"model.{name}"]
        else:
            weights[f"model.{name}"] = np.zeros(value, np.float32)
        await refused(write_folder(tmp_path / "model", SMALL, weights), error, match)

    @pytest.mark.parametrize(
        ("file", "error", "match"),
        [
            ("tokenizer.json", MissingFileError, "has no tokenizer"),
            ("config.json", MissingFileError, "holds no config.json"),
            ("model.safetensors", MissingFileError, "holds no model.safetensors"),
        ],
    )
    async def test_missing_files(
        self, refused: Refused, tmp_path: Path, file: str, error: type[Exception], match: str
    ) -> None:
        folder = write_folder(tmp_path / "model", SMALL, weights_of(SMALL))
        (folder / file).unlink()
        await refused(folder, error, match)

    @pytest.mark.parametrize(
        ("file", "error"),
        [
            ("tokenizer.json", TokenizerError),
            ("config.json", CorruptCheckpointError),
            ("model.safetensors", CorruptCheckpointError),
            ("generation_config.json", TokenizerError),
            ("tokenizer_config.json", CorruptCheckpointError),
        ],
    )
    async def test_damaged_files(
        self, refused: Refused, tmp_path: Path, file: str, error: type[Exception]
    ) -> None:
        folder = write_folder(tmp_path / "model", SMALL, weights_of(SMALL))
        (folder / file).write_text('{"a":')
        await refused(folder, error, file)

    async def test_a_generation_config_that_no_sampler_can_follow(
        self, refused: Refused, tmp_path: Path
    ) -> None:
        folder = write_folder(tmp_path / "model", SMALL, weights_of(SMALL))
        (folder / "generation_config.json").write_text(json.dumps({"temperature": -1}))
        await refused(folder, CorruptCheckpointError, "generation_config.json.*temperature")


def gguf(tmp_path: Path, fmt: str = "F32", **changes: Any) -> Path:
    """The small model, with changes that ``gguf_writer`` takes."""
    path = tmp_path / "model.gguf"
    path.write_bytes(written(gguf_writer(SMALL, weights_of(SMALL), fmt, **changes)))
    return path


def written(writer: GGUFWriter) -> bytes:
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


class TestGGUF:
    @pytest.mark.parametrize(
        ("keys", "error", "match"),
        [
            ({"general.architecture": "mamba"}, UnsupportedModelError, "'mamba' is not supported"),
            ({"general.architecture": None}, CorruptCheckpointError, "general.architecture"),
            ({"llama.embedding_length": None}, CorruptCheckpointError, "llama.embedding_length"),
            ({"llama.embedding_length": 64}, CorruptCheckpointError, "has shape"),
            ({"llama.embedding_length": "96"}, CorruptCheckpointError, "hidden size is '96'"),
            ({"llama.block_count": None}, CorruptCheckpointError, "llama.block_count"),
            ({"llama.block_count": 0}, CorruptCheckpointError, "n_layers = 0"),
            ({"llama.block_count": 2.0}, CorruptCheckpointError, "n_layers = 2.0"),
            ({"llama.attention.head_count": [4, 2]}, UnsupportedModelError, "different values"),
            ({"llama.attention.head_count_kv": 3}, CorruptCheckpointError, "cannot share"),
            ({"llama.attention.head_count_kv": [2, 1]}, UnsupportedModelError, "different values"),
            ({"llama.attention.head_count_kv": [2, 0]}, UnsupportedModelError, "without attention"),
            ({"llama.attention.value_length": 16}, UnsupportedModelError, "different lengths"),
            ({"llama.rope.dimension_count": 64}, CorruptCheckpointError, "over 64 of a head's 32"),
            ({"llama.rope.dimension_count": 31}, CorruptCheckpointError, "over 31"),
            ({"llama.rope.freq_base": -1.0}, CorruptCheckpointError, "rope_theta = -1.0"),
            ({"llama.rope.scaling.type": "dynamic"}, UnsupportedModelError, "'dynamic'"),
            (
                {"llama.expert_count": 8, "llama.expert_used_count": 20},
                UnsupportedModelError,
                "20 of 8 experts",
            ),
            ({"tokenizer.ggml.model": None}, TokenizerError, "model"),
            ({"tokenizer.ggml.model": "rwkv"}, UnsupportedModelError, "RWKV"),
            ({"tokenizer.ggml.tokens": None}, TokenizerError, "tokens"),
            (
                {"tokenizer.ggml.tokens": [f"t{i}" for i in range(300)]},
                TokenizerError,
                "token_type",
            ),
        ],
        ids=lambda value: str(value)[:40],
    )
    async def test_keys(
        self,
        refused: Refused,
        tmp_path: Path,
        keys: dict[str, Any],
        error: type[Exception],
        match: str,
    ) -> None:
        await refused(gguf(tmp_path, keys=keys), error, match)

    async def test_no_tokenizer_at_all(self, refused: Refused, tmp_path: Path) -> None:
        absent = {key: None for key in gguf_metadata(SMALL) if key.startswith("tokenizer.")}
        await refused(gguf(tmp_path, keys=absent), TokenizerError, "holds no tokenizer")

    async def test_more_tokens_than_rows(self, refused: Refused, tmp_path: Path) -> None:
        many = [f"token {i}" for i in range(300)]
        keys = {"tokenizer.ggml.tokens": many, "tokenizer.ggml.token_type": [1] * 300}
        path = gguf(tmp_path, keys=keys)
        await refused(path, CorruptCheckpointError, "do not belong together")

    @pytest.mark.parametrize("factors", [[1.0] * 15, [1.0] * 15 + [0.0], [1.0] * 15 + [np.nan]])
    async def test_rope_factors(
        self, refused: Refused, tmp_path: Path, factors: list[float]
    ) -> None:
        writer = gguf_writer(SMALL, weights_of(SMALL))
        data = np.array(factors, np.float32).tobytes()
        writer.add_tensor("rope_freqs.weight", [len(factors)], "F32", [data])
        path = tmp_path / "model.gguf"
        path.write_bytes(written(writer))
        await refused(path, CorruptCheckpointError, "rope_freqs")

    async def test_a_quantized_norm(self, refused: Refused, tmp_path: Path) -> None:
        path = gguf(tmp_path, formats={"output_norm.weight": "Q8_0"})
        await refused(path, CorruptCheckpointError, "must be float tensors")

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.9999])
    async def test_truncated(self, refused: Refused, tmp_path: Path, share: float) -> None:
        path = gguf(tmp_path)
        os.truncate(path, int(path.stat().st_size * share))
        await refused(path, CorruptCheckpointError, "incomplete|truncated|ends at byte")


@pytest.mark.usefixtures("small_batches")
async def test_a_file_that_shrinks_while_it_is_loaded(
    tmp_path: Path, device: Device, engine: Engine
) -> None:
    path = gguf(tmp_path)

    def shrink(report: LoadProgress) -> None:
        if report.stage == "weights":
            os.truncate(path, 300_000)

    before = device.n_buffers
    with pytest.raises(SourceError, match="ended at byte 300000"):
        await webllm_py.load(path, device=device, on_progress=shrink)
    assert device.n_buffers == before
    assert open_files(tmp_path) == []


async def test_no_such_file(refused: Refused, tmp_path: Path) -> None:
    await refused(tmp_path / "missing.gguf", SourceError, "no file or folder")


async def test_no_adapter(
    small_model: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wgpu = pytest.importorskip("wgpu")

    async def none(**options: Any) -> None:
        raise RuntimeError("no adapter")

    monkeypatch.setattr(wgpu.gpu, "request_adapter_async", none)
    held = open_files(small_model)
    with pytest.raises(NoAdapterError, match="mesa-vulkan-drivers"):
        await webllm_py.load(small_model)
    assert open_files(small_model) == held


async def test_a_page_of_the_cache_that_does_not_fit(
    small_model: Path, device: Device, engine: Engine
) -> None:
    """The limit is checked before any memory is taken."""
    from devices_that_fail import FailingDevice

    from webllm_py.gpu.device import Limits

    small = FailingDevice(device, limits=Limits(4096, 4096))
    with pytest.raises(DeviceLimitError, match="page of this model's cache"):
        await webllm_py.load(small_model, device=small)
    assert small.created == 0
