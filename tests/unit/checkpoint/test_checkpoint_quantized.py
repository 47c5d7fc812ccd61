"""Quantized Hugging Face folders: which tensors make a matrix, and what is said of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from checkpoint_files import MemoryFolder, safetensors_bytes

from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.errors import CheckpointError, CorruptCheckpointError, UnsupportedModelError

Tensors = dict[str, tuple[str, tuple[int, ...]]]

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 64, "desc_act": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "GEMM", "zero_point": True}
FP8 = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
WEIGHTS = {"num_bits": 8, "type": "float", "strategy": "channel"}
COMPRESSED = {
    "quant_method": "compressed-tensors",
    "format": "float-quantized",
    "config_groups": {"group_0": {"weights": WEIGHTS, "input_activations": {"dynamic": True}}},
}
# Matrices of 24 rows and 128 columns.
OF_GPTQ: Tensors = {
    "w.qweight": ("I32", (16, 24)),
    "w.scales": ("F16", (2, 24)),
    "w.qzeros": ("I32", (2, 3)),
    "w.g_idx": ("I32", (128,)),
    "lm_head.weight": ("F16", (4, 8)),
}
OF_AWQ: Tensors = {
    "w.qweight": ("I32", (128, 3)),
    "w.scales": ("F16", (2, 24)),
    "w.qzeros": ("I32", (2, 3)),
}
OF_FP8: Tensors = {
    "w.weight": ("F8_E4M3", (200, 300)),
    "w.weight_scale_inv": ("F32", (2, 3)),
    "w.input_scale": ("F32", ()),
}


async def opened(quantization: dict[str, Any] | None, tensors: Tensors) -> Checkpoint:
    config = {"model_type": "llama", "quantization_config": quantization}
    files = {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": safetensors_bytes(tensors),
    }
    folder = MemoryFolder(files)
    try:
        return await open_checkpoint(folder)
    except CheckpointError:
        assert not any(source.open for source in folder.opened)
        raise


@pytest.mark.parametrize(
    ("quantization", "tensors", "name"),
    [(GPTQ, OF_GPTQ, "GPTQ4"), (GPTQ | {"desc_act": True, "group_size": -1}, {
        **OF_GPTQ, "w.scales": ("F16", (1, 24)), "w.qzeros": ("I32", (1, 3))
    }, "GPTQ4"), (AWQ, OF_AWQ, "AWQ4")],
)  # fmt: skip
async def test_integers(quantization: dict[str, Any], tensors: Tensors, name: str) -> None:
    checkpoint = await opened(quantization, tensors)
    floats = {key for key in tensors if key.endswith(".weight")}
    assert checkpoint.tensors.keys() == {"w.weight", *floats}
    matrix = checkpoint.tensors["w.weight"]
    assert (matrix.shape, matrix.format.name, matrix.nbytes) == ((24, 128), name, 24 * 64)
    groups = tensors["w.scales"][1][0]
    assert matrix.companions.keys() == {"scales", "zeros"}
    for each in matrix.companions.values():
        assert (each.shape, each.format.block_size) == ((24, 128), 128 // groups)
        assert each.nbytes == each.format.blocks(128) * 24 // each.format.block_rows * (
            each.format.block_bytes
        )
    assert checkpoint.nbytes == matrix.stored_bytes + sum(
        checkpoint.tensors[key].nbytes for key in floats
    )


@pytest.mark.parametrize(
    ("quantization", "name", "scales", "tile"),
    [
        (FP8, "weight_scale_inv", ("F32", (2, 3)), (128, 128)),
        (FP8 | {"weight_block_size": None}, "weight_scale", ("BF16", ()), (200, 300)),
        (None, "weight_scale", ("F32", (1,)), (200, 300)),
        (COMPRESSED, "weight_scale", ("BF16", (200, 1)), (1, 300)),
    ],
)
async def test_floats(
    quantization: dict[str, Any] | None,
    name: str,
    scales: tuple[str, tuple[int, ...]],
    tile: tuple[int, int],
) -> None:
    tensors: Tensors = {"w.weight": ("F8_E4M3", (200, 300)), f"w.{name}": scales}
    checkpoint = await opened(quantization, {**tensors, "w.input_scale": ("F32", ())})
    assert checkpoint.tensors.keys() == {"w.weight"}
    matrix = checkpoint.tensors["w.weight"]
    each = matrix.companions["tiles"]
    assert (matrix.format.name, matrix.nbytes) == ("F8_E4M3", 60_000)
    assert (each.format.name, (each.format.block_rows, each.format.block_size)) == (scales[0], tile)


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        (GPTQ | {"bits": 3}, "'gptq' with bits = 3"),
        (GPTQ | {"group_size": 48}, "'gptq' with group_size = 48"),
        (GPTQ | {"desc_act": True}, "'gptq' with desc_act = true"),
        (GPTQ | {"checkpoint_format": "marlin"}, "'gptq' with checkpoint_format = 'marlin'"),
        (GPTQ | {"is_marlin_format": True}, "'gptq' with checkpoint_format = 'marlin'"),
        (AWQ | {"bits": 8}, "'awq' with bits = 8"),
        (AWQ | {"group_size": "128"}, "'awq' with group_size = '128'"),
        (AWQ | {"version": "gemv"}, "'awq' with version = 'gemv'"),
        (AWQ | {"zero_point": False}, "'awq' with zero_point = false"),
        (FP8 | {"fmt": "e5m2"}, "'fp8' with fmt = 'e5m2'"),
        (FP8 | {"weight_block_size": [1, 16]}, r"'fp8' with weight_block_size = \[1, 16\]"),
        (COMPRESSED | {"format": "pack-quantized"}, "with format = 'pack-quantized'"),
        (
            COMPRESSED | {"config_groups": {"a": {"weights": WEIGHTS | {"type": "int"}}}},
            "weights of type 'int' and 8 bits",
        ),
        (
            COMPRESSED | {"config_groups": {"a": {"weights": WEIGHTS | {"strategy": "group"}}}},
            "weights' strategy = 'group'",
        ),
        (COMPRESSED | {"config_groups": {}}, "with several kinds of weights"),
        ({"quant_method": "bitsandbytes"}, "by 'bitsandbytes', which this version"),
        ({"quant_method": ["gptq"]}, r"by \['gptq'\], which this version"),
    ],
)
async def test_what_is_not_run_is_named(quantization: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message + ".*Take the original"):
        await opened(quantization, OF_GPTQ)


@pytest.mark.parametrize(
    ("quantization", "tensors", "change", "message"),
    [
        (GPTQ, OF_GPTQ, {"w.scales": None}, r"w\.qweight is quantized, but w\.scales"),
        (GPTQ, OF_GPTQ, {"w.qzeros": None}, r"w\.qweight is quantized, but w\.qzeros"),
        (GPTQ, OF_GPTQ, {"w.scales": ("F16", (1, 24))}, r"w\.scales of shape \[1, 24\] do not"),
        (GPTQ, OF_GPTQ, {"w.qzeros": ("I32", (2, 24))}, r"w\.qzeros of shape \[2, 24\] do not"),
        (GPTQ, OF_GPTQ, {"w.qweight": ("I32", (384,))}, r"w\.qweight of shape \[384\] and"),
        (AWQ, OF_AWQ, {"w.qweight": ("I32", (128, 4))}, r"w\.scales of shape \[2, 24\] do not"),
        (None, OF_AWQ, {}, r"w\.qweight holds codes .* does not say so"),
        (FP8, OF_AWQ, {}, r"w\.qweight holds codes .* does not say so"),
        (FP8, OF_FP8, {"w.weight_scale_inv": None}, r"w\.weight is quantized, but w\.weight_scale"),
        (FP8, OF_FP8, {"w.weight_scale_inv": ("F32", (2, 2))}, r"shape \[2, 2\] do not belong"),
        (None, OF_FP8, {}, r"shape \[2, 3\] do not belong together"),
    ],
)
async def test_damage(
    quantization: dict[str, Any] | None, tensors: Tensors, change: dict[str, Any], message: str
) -> None:
    changed = {key: value for key, value in {**tensors, **change}.items() if value is not None}
    with pytest.raises(CorruptCheckpointError, match=message):
        await opened(quantization, changed)


@pytest.mark.parametrize(
    ("quantization", "tensors", "message"),
    [
        (GPTQ | {"group_size": 96}, OF_GPTQ, "24 rows and 128 columns in groups of 96"),
        (AWQ, {**OF_AWQ, "w.scales": ("BF16", (2, 24))}, "scales is stored as BF16"),
        (GPTQ, {**OF_GPTQ, "w.perm": ("I32", (9,))}, r"I32 \(1 tensors\)"),
    ],
)
async def test_sizes_that_are_not_run(
    quantization: dict[str, Any], tensors: Tensors, message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        await opened(quantization, tensors)
