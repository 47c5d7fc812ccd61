"""What the writer of MLC folders writes, read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlc_files import CONFIG

from webllm_py.checkpoint import open_checkpoint
from webllm_py.checkpoint.mlc_writer import MLCWriter


def exact(weight: np.ndarray, bits: int) -> np.ndarray:
    """The weight that is left of it: whole steps of a scale that float16 and bfloat16 hold."""
    zero = 2 ** (bits - 1) - 1
    codes = np.clip(np.rint(weight * zero), -zero, zero)
    codes[:, :: 32 if bits == 4 else 40] = zero  # so that the scale is 1/8
    return np.asarray(codes / 8, np.float32)


@pytest.mark.parametrize("label", ["q4f16_1", "q4f16_0", "q4f32_1", "q3f16_1", "q0f16", "q0f32"])
async def test_what_the_writer_writes(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two shards and one for a large tensor; the tensors decode to what was given."""
    monkeypatch.setattr("webllm_py.checkpoint.mlc_writer.SHARD_BYTES", 9000)
    monkeypatch.setattr("webllm_py.checkpoint.mlc_writer.ALONE_BYTES", 8000)
    rng = np.random.default_rng(5)
    bits = 3 if label.startswith("q3") else 4
    shapes = {"small": (5, 70), "large": (80, 240), "other": (50, 33)}
    weights = {
        f"model.{name}.weight": exact(rng.uniform(-1, 1, shape), bits)
        for name, shape in shapes.items()
    }
    weights["model.norm.weight"] = np.arange(9, dtype=np.float32) / 4
    writer = MLCWriter(label, CONFIG)
    for name, weight in weights.items():
        writer.add(name, weight)
    with pytest.raises(ValueError, match="already"):
        writer.add(name, weight)
    writer.write(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    checkpoint = await open_checkpoint(tmp_path)
    for name, weight in weights.items():
        tensor = checkpoint.tensors[name].fitted(weight.shape)
        assert tensor.shape == weight.shape
        np.testing.assert_array_equal(await decoded(tensor, bits), weight, err_msg=name)
    await checkpoint.verify()
    await checkpoint.close()


async def decoded(tensor: Any, bits: int) -> np.ndarray:
    """Numpy's own reading of a tensor."""
    data = await tensor.source.read(tensor.offset, tensor.nbytes)
    if not tensor.companions:
        return raw_floats(data, tensor.format).reshape(tensor.shape)
    scales = tensor.companions["scales"]
    factors = raw_floats(await scales.source.read(scales.offset, scales.nbytes), scales.format)
    rows = tensor.shape[0]
    order = (-1, rows) if tensor.format.by_columns else (rows, -1)
    words, factors = np.frombuffer(data, np.uint32).reshape(order), factors.reshape(order)
    if tensor.format.by_columns:
        words, factors = words.T, factors.T
    codes = (words[..., None] >> np.arange(0, 32 // bits * bits, bits, dtype=np.uint32)) & (
        2**bits - 1
    )
    codes = codes.reshape(rows, -1).astype(np.float32) - (2 ** (bits - 1) - 1)
    each = np.repeat(factors, tensor.format.block_size, axis=1)
    return np.asarray((codes * each)[:, : tensor.shape[1]])


def raw_floats(data: bytes, format: Any) -> np.ndarray:
    if format.name == "F16":
        return np.frombuffer(data, np.float16).astype(np.float32)
    return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
