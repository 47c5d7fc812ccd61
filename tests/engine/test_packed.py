"""GPTQ, AWQ and 8-bit floats in safetensors: what the file holds is what computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_tools import generation_logits
from made_models import SMALL, Spec, Weights, tokens_of, weights_of
from model_files import config_json, write_folder
from packed import Packed
from reference import forward

import webllm_py
from webllm_py.gpu import Device
from webllm_py.models.weights import Matrix
from webllm_py.runtime.weights import loader
from webllm_py.runtime.weights.storage import Quantize, slice_plans

SLICED = "blk.0.gate_up"


def write_packed(folder: Path, spec: Spec, packed: Packed) -> tuple[Path, Weights]:
    """A folder whose layers' matrices are quantized, and what its weights stand for."""
    stored: Weights = {}
    values: Weights = {}
    for name, weight in weights_of(spec).items():
        if not name.startswith("model.layers.") or weight.ndim == 1:
            stored[name] = values[name] = weight
            continue
        made = packed.quantize(weight)
        stem = name.removesuffix(".weight")
        stored |= {stem + end: array for end, array in made.arrays.items()}
        values[name] = made.values
    config = config_json(spec) | {"quantization_config": packed.config}
    return write_folder(folder, spec, stored, config=config), values


CASES = {
    "gptq": Packed("gptq", group=32),
    "awq": Packed("awq", group=32),
    "fp8": Packed("fp8", tile=(128, 128)),
}


@pytest.mark.parametrize("case", CASES)
async def test_logits(
    case: str, tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of prompts and of decode steps; tensors come in several pieces, and one matrix, as where no
    single binding holds it, lies in slices."""

    def small_slices(matrix: Matrix, quantize: Quantize | None, limit: int) -> Any:
        return slice_plans(matrix, quantize, 1 << 12 if matrix.name == SLICED else limit)

    monkeypatch.setattr(loader, "PIECE_BYTES", 3_000)
    monkeypatch.setattr(loader, "slice_plans", small_slices)
    folder, values = write_packed(tmp_path / "model", SMALL, CASES[case])
    tokens = tokens_of(SMALL, 12)
    async with await webllm_py.load(folder, device=device, kv_dtype="f32") as engine:
        logits = await engine.logits(tokens)
        decoding = await generation_logits(engine, tokens, 10)
        assert len(engine.loaded.executor.weights.matrices[SLICED][1]) > 1
    wanted = forward(SMALL.config, values, tokens)
    error = max(np.abs(logits - wanted).max(), np.abs(decoding - wanted[9:]).max())
    print(f"{error:.1e}")
    assert error < 1e-4
