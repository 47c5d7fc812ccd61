"""The same model in every file format, against transformers on the weights that the file holds."""

from __future__ import annotations

import pytest
from conftest import Files
from engine_tools import generation_logits
from expected import Expected
from made_models import FORMATS, tokens_of

import webllm_py
from webllm_py.gpu import Device

GGUF = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0"]


@pytest.mark.parametrize("fmt", GGUF)
async def test_gguf(fmt: str, files: Files, device: Device, plain_device: Device) -> None:
    expected, _ = Expected.load(f"formats-{fmt.lower()}")
    tokens = tokens_of(FORMATS, len(expected.values))
    source = files.gguf(FORMATS, fmt)
    async with await webllm_py.load(source, device=device) as engine:
        error = expected.error(await engine.logits(tokens))
        assert engine.info["quantization"] == fmt
    async with await webllm_py.load(source, device=plain_device, kv_dtype="f32") as engine:
        decoding = expected.error(await generation_logits(engine, tokens, 42), first=41)
    print(f"{fmt}: logits {error:.1e}, generation {decoding:.1e}")
    assert error < 1e-4 and decoding < 1e-4


@pytest.mark.parametrize(("dtype", "shards"), [("F32", 1), ("F32", 3), ("F16", 1), ("BF16", 2)])
async def test_safetensors(dtype: str, shards: int, files: Files, device: Device) -> None:
    expected, _ = Expected.load(f"formats-{dtype.lower()}")
    tokens = tokens_of(FORMATS, len(expected.values))
    source = files.huggingface(FORMATS, dtype, shards)
    async with await webllm_py.load(source, device=device) as engine:
        error = expected.error(await engine.logits(tokens))
    print(f"{dtype} in {shards} files: {error:.1e}")
    assert error < 1e-4
