"""The same model in every file format, against transformers on the weights that the file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import generation_logits
from expected import Expected
from formats import without_ties
from made_models import FORMATS, MIXED, Q4_K_M, SMALL, SPECS, tokens_of, weights_of
from model_files import Files, gguf_writer, write_folder
from reference import forward, stored_as

import webllm_py
from webllm_py.gpu import Device
from webllm_py.runtime.weights import pieces

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


async def test_formats_side_by_side(tmp_path: Path, device: Device) -> None:
    """q, k and v are computed together and may still be stored apart; so may layers."""
    apart = {
        "blk.0.attn_k.weight": "F16",
        "blk.0.attn_v.weight": "Q8_0",
        "blk.1.ffn_down.weight": "BF16",
        "blk.1.attn_q.weight": "Q4_1",
        "token_embd.weight": "Q8_0",
    }
    made = weights_of(FORMATS)
    kept = stored_as("q4_0", made, apart=apart)
    tokens = tokens_of(FORMATS, 20)
    path = tmp_path / "mixed.gguf"
    with path.open("wb") as file:
        gguf_writer(FORMATS, made, "Q4_0", formats=apart).write(file)
    async with await webllm_py.load(path, device=device) as engine:
        logits = await engine.logits(tokens)
    assert np.abs(logits - forward(FORMATS.config, kept, tokens)).max() < 1e-4


async def test_every_quantized_format(tmp_path: Path, device: Device) -> None:
    """A matrix of each in one file, the rest in Q4_K."""
    apart = {
        "token_embd.weight": "IQ4_XS",
        "output.weight": "Q5_1",
        "blk.0.attn_q.weight": "Q2_K",
        "blk.0.attn_k.weight": "Q3_K",
        "blk.0.attn_v.weight": "IQ4_NL",
        "blk.0.attn_output.weight": "MXFP4",
        "blk.0.ffn_gate.weight": "Q5_0",
        "blk.0.ffn_up.weight": "Q4_1",
        "blk.0.ffn_down.weight": "Q8_0",
        "blk.1.attn_output.weight": "Q4_0",
        "blk.1.ffn_gate.weight": "Q5_K",
        "blk.1.ffn_up.weight": "Q5_K",
        "blk.1.ffn_down.weight": "Q6_K",
    }
    made, tokens = weights_of(MIXED), tokens_of(MIXED, 40)
    path = tmp_path / "every.gguf"
    with path.open("wb") as file:
        gguf_writer(MIXED, made, "Q4_K", formats=apart).write(file)
    async with await webllm_py.load(path, device=device) as engine:
        logits = await engine.logits(tokens)
    kept = stored_as("q4_k", made, apart=apart)
    assert np.abs(logits - forward(MIXED.config, kept, tokens)).max() < 1e-4


async def test_q4_k_m(tmp_path: Path, device: Device, plain_device: Device) -> None:
    """Formats mixed as in the files that most people have, within fused matrices too."""
    expected, _ = Expected.load("formats-q4_k_m")
    tokens = tokens_of(MIXED, len(expected.values))
    path = tmp_path / "mixed.gguf"
    with path.open("wb") as file:
        gguf_writer(MIXED, weights_of(MIXED), "Q4_K", formats=Q4_K_M).write(file)
    async with await webllm_py.load(path, device=device) as engine:
        error = expected.error(await engine.logits(tokens))
    async with await webllm_py.load(path, device=plain_device, kv_dtype="f32") as engine:
        decoding = expected.error(await generation_logits(engine, tokens, 42), first=41)
    print(f"Q4_K_M: logits {error:.1e}, generation {decoding:.1e}")
    assert error < 1e-4 and decoding < 1e-4


@pytest.mark.parametrize(("dtype", "quantize"), [("F16", "q8"), ("BF16", "q4")])
async def test_quantized_from_halves(
    dtype: str, quantize: str, tmp_path: Path, device: Device
) -> None:
    """Rows that are no whole blocks are padded with zeros."""
    spec = SPECS["llama-7x80"]
    halves = {
        name: without_ties(weight) if weight.ndim == 2 else weight
        for name, weight in stored_as(dtype.lower(), weights_of(spec)).items()
    }
    kept = stored_as({"q4": "q4_0", "q8": "q8_0"}[quantize], halves, tables="q8_0")
    tokens = tokens_of(spec, 20)
    source = write_folder(tmp_path / "model", spec, halves, dtype)
    async with await webllm_py.load(source, device=device, quantize=quantize) as engine:
        logits = await engine.logits(tokens)
    wanted = forward(spec.config, kept, tokens)
    assert np.abs(logits - wanted).max() < 1e-4
    assert np.abs(wanted - forward(spec.config, halves, tokens)).max() > 1e-2


@pytest.mark.parametrize(("dtype", "shards"), [("F32", 1), ("F32", 3), ("F16", 1), ("BF16", 2)])
async def test_safetensors(dtype: str, shards: int, files: Files, device: Device) -> None:
    expected, _ = Expected.load(f"formats-{dtype.lower()}")
    tokens = tokens_of(FORMATS, len(expected.values))
    source = files.huggingface(FORMATS, dtype, shards)
    async with await webllm_py.load(source, device=device) as engine:
        error = expected.error(await engine.logits(tokens))
    print(f"{dtype} in {shards} files: {error:.1e}")
    assert error < 1e-4


async def test_quantized_by_patterns_of_names(tmp_path: Path, device: Device) -> None:
    """The first pattern that fits counts; what none fits stays as it is."""
    folder = write_folder(tmp_path / "model", SMALL, weights_of(SMALL))
    quantize: Any = {"*.0.mlp.*": "q8", "*.1.*.q_proj.*": None, "model.layers.*": "q4"}
    apart = {f"blk.0.ffn_{part}.weight": "Q8_0" for part in ("gate", "up", "down")}
    apart |= {name: "F32" for name in ("blk.1.attn_q.weight", "token_embd.weight")}
    wanted = stored_as("q4_0", weights_of(SMALL), apart=apart)
    tokens = tokens_of(SMALL, 20)
    async with await webllm_py.load(folder, device=device, quantize=quantize) as engine:
        logits = await engine.logits(tokens)
        assert engine.info["quantization"] == "F32 as q4 and q8"
    assert np.abs(logits - forward(SMALL.config, wanted, tokens)).max() < 1e-4
    for wrong, message in (
        ({"*.mlp.gate_proj.*": "q8"}, r"mlp\.up_proj\.weight are computed together"),
        ({"*.mlp.gate.*": "q8"}, r"no matrix is called as '\*\.mlp\.gate\.\*' says"),
    ):
        with pytest.raises(ValueError, match=message):
            await webllm_py.load(folder, device=device, quantize=wrong)


@pytest.mark.parametrize("quantize", ["q8", "q4"])
async def test_weights_are_never_held_twice(
    files: Files, device: Device, monkeypatch: pytest.MonkeyPatch, quantize: Any
) -> None:
    """On their way to fewer bits they pass through a small buffer, whatever they sum to."""
    monkeypatch.setattr(pieces, "MOST_BYTES", 1 << 16)
    floats = sum(weight.nbytes for weight in weights_of(FORMATS).values())
    source = files.huggingface(FORMATS, "F32")
    async with await webllm_py.load(source, device=device, quantize=quantize) as engine:
        owner = engine.loaded.owner
        print(f"{floats} bytes of floats; {owner.most_bytes - owner.nbytes} more than in the end")
        assert owner.most_bytes - owner.nbytes < floats / 4
