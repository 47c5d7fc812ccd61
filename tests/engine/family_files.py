"""Writes the families' models as Hugging Face and MLC folders; gpt-oss with experts in MXFP4."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from family_models import FAMILY_MODELS
from made_families import Recorded
from made_models import Weights
from model_files import tokenizer_json, write_safetensors

from webllm_py.checkpoint.mlc_export import chat_config, exported
from webllm_py.checkpoint.mlc_writer import MLCWriter

__all__ = ["in_mxfp4", "write_family_folder", "write_family_mlc"]


def write_family_folder(folder: Path, recorded: Recorded, weights: Weights) -> Path:
    """A Hugging Face folder; returns it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(recorded.config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    write_safetensors(folder / "model.safetensors", weights, "F32")
    return folder


def write_family_mlc(folder: Path, recorded: Recorded, weights: Weights) -> Path:
    """An MLC folder that holds all of float32; returns it."""
    writer = MLCWriter("q0f32", chat_config(recorded.config), raw=True)
    for name, weight in exported(weights, recorded.config).items():
        writer.add(name, weight)
    writer.write(folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    return folder


def in_mxfp4(recorded: Recorded) -> tuple[Recorded, Weights, dict[str, bytes]]:
    """gpt-oss with random codes for experts, in sizes of whole blocks.

    Returns:
        what transformers would save, its tensors, and GGUF's bytes of the experts' by GGUF's names.
    """
    rng = np.random.default_rng(4)
    sizes = {92: 96, 44: 64, 88: 128}
    config = {**recorded.config, "hidden_size": 96, "intermediate_size": 64}
    config["quantization_config"] = {"quant_method": "mxfp4"}
    shapes = {n: [sizes.get(size, size) for size in shape] for n, shape in recorded.shapes.items()}
    made = FAMILY_MODELS["gpt-oss"].weights(shapes)
    blocks: dict[str, bytes] = {}
    for name in [name for name in made if name.endswith("_proj") and ".experts." in name]:
        experts, columns, rows = made.pop(name).shape
        scales = rng.integers(121, 124, (experts, rows, columns // 32), np.uint8)
        codes = rng.integers(0, 16, (*scales.shape, 32), np.uint8)
        made[f"{name}_scales"] = scales
        made[f"{name}_blocks"] = codes[..., 0::2] | codes[..., 1::2] << 4
        halves = codes[..., :16] | codes[..., 16:] << 4
        stored = np.concatenate([scales[..., None], halves], -1)
        layer, parts = name.split(".")[2], name.split(".")[-1].removesuffix("_proj").split("_")
        for i, part in enumerate(parts):
            rows_of = np.ascontiguousarray(stored[:, i :: len(parts)])
            blocks[f"blk.{layer}.ffn_{part}_exps.weight"] = rows_of.tobytes()
    return replace(recorded, config=config, shapes=shapes), made, blocks
