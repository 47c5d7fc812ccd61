"""LoRA adapters of families whose rotary pairs are side by side, against the same weights merged:
W + s B A (Hu et al. 2021, LoRA), whose logits without an adapter are transformers'."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from family_files import write_family_folder
from family_gguf import write_family_gguf
from family_models import FAMILY_MODELS
from made_families import Recorded
from made_models import Weights, noise
from model_files import write_safetensors

import webllm_py
from webllm_py.gpu import Device
from webllm_py.runtime import executor

RANK, ALPHA = 5, 7
TOLERANCE = 5e-5
ADAPTED = re.compile(r"(.*\.([qkvo]_proj|down_proj))\.weight")
CASES = [
    pytest.param(name, kind, marks=() if usual else pytest.mark.every_family)
    for name, kind, usual in (
        ("glm4", "gguf", True),  # a part of each head is rotated
        ("glm4", "safetensors", False),
        ("cohere", "gguf", False),
        ("cohere2", "gguf", False),
        ("cohere2", "safetensors", True),
        ("ernie4_5", "gguf", False),
        ("ernie4_5", "safetensors", False),
    )
]


def made_adapter(folder: Path, weights: Weights) -> Weights:
    """Write an adapter of attention and MLP as PEFT does; the weights with it merged."""
    tensors, merged = {}, dict(weights)
    for name, weight in weights.items():
        if not (match := ADAPTED.fullmatch(name)):
            continue
        down = noise(f"{name} A", RANK, weight.shape[1]) / np.float32(weight.shape[1] ** 0.5)
        up = noise(f"{name} B", weight.shape[0], RANK) * np.float32(0.2)
        for letter, tensor in (("A", down), ("B", up)):
            tensors[f"base_model.model.{match[1]}.lora_{letter}.weight"] = tensor
        merged[name] = weight + np.float32(ALPHA / RANK) * (up @ down)
    folder.mkdir()
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"]
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": targets}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    write_safetensors(folder / "adapter_model.safetensors", tensors, "F32")
    return merged


@pytest.mark.parametrize(("name", "kind"), CASES)
async def test_logits_are_those_of_merged_weights(
    name: str, kind: str, tmp_path: Path, plain_device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "LONG_PROMPTS", ())  # nobody sends any
    base, model = FAMILY_MODELS[name], Recorded.load(name)
    weights = base.weights(model.shapes)
    merged = made_adapter(tmp_path / "adapter", weights)
    tokens = [*range(30, 75)]
    found = []
    for of, adapters in ((merged, []), (weights, ["adapter"])):
        place = tmp_path / ("merged" if of is merged else "plain")
        place.mkdir()
        if kind == "gguf":
            file = write_family_gguf(place / "model.gguf", base, model, of)
        else:
            file = write_family_folder(place / name, model, of)
        async with await webllm_py.load(
            file, device=plain_device, kv_dtype="f32", context_length=base.context, tune=False
        ) as engine:
            plain = await engine.logits(tokens)
            if adapters:
                await engine.load_adapter(tmp_path / "adapter")
            found.append(await engine.logits(tokens, adapters=adapters))
    error, changed = (float(np.abs(found[0] - one).max()) for one in (found[1], plain))
    print(f"{name}, {kind}: {error:.1e}, of {changed:.1e} that the adapter changes")
    assert error < TOLERANCE and changed > 0.1
