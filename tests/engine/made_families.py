"""What a family's fixture is made of: a small model's config.json, weights out of a formula, and
the logits that transformers computed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from expected import FIXTURES, Expected
from made_models import Weights, hashes, noise, small_steps

__all__ = ["COLUMNS", "UNEVEN", "VOCABULARY", "YARN", "FamilyModel", "Recorded"]

VOCABULARY = 263
COLUMNS = 8
"""Columns of logits that are kept of each position; sums tell of the others."""


@dataclass(frozen=True)
class FamilyModel:
    """A model's config.json, as far as it is not transformers' default.

    Attributes:
        gguf: GGUF's name of the architecture; "" if its files cannot say what the model needs.
        prompts: lengths of the texts whose logits are compared: the first is longer than a chunk
            of a CPU's prefill, and than any sliding window.
        centered: whether norms' weights are stored less 1.
        context: what the engine is loaded for.
    """

    name: str
    model_type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    gguf: str = ""
    prompts: tuple[int, ...] = (150, 45, 7)
    centered: bool = False
    context: int | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What transformers' config class is given."""
        return {**SIZES, **self.config}

    def tokens(self, prompt: int) -> list[int]:
        """The text of a prompt: BOS, then anything."""
        length = self.prompts[prompt]
        text = hashes(f"{self.name} text {prompt}", length - 1) % np.uint64(VOCABULARY)
        return [256, *text.tolist()]

    def weights(self, shapes: Mapping[str, list[int]]) -> Weights:
        """Tensors of these shapes; logits come out with a variance of about 1."""
        return {name: self.weight(name, shape) for name, shape in shapes.items()}

    def weight(self, name: str, shape: list[int]) -> np.ndarray:
        """One of them."""
        seed = f"{self.name} {name}"
        if "sinks" in name:
            return noise(seed, *shape)
        if name.endswith("bias") and len(shape) == 2:
            return small_steps(seed, shape[0] * shape[1], 0.2).reshape(shape)
        if name.endswith("A_log"):
            # Some heads remember a few tokens, some hundreds.
            return noise(seed, *shape) * np.float32(1.5) - np.float32(2.5)
        if len(shape) == 1:
            is_norm = "norm" in name.lower() or "ln_" in name
            centered = self.centered and "linear_attn.norm" not in name
            around = 1 if is_norm and not centered and name.endswith("weight") else 0
            return around + small_steps(seed, shape[0], 0.2)
        # Experts' gates beyond what gpt-oss clamps them to.
        if name.endswith("experts.gate_up_proj"):
            return noise(seed, *shape) * np.float32(4 / shape[1] ** 0.5)
        # Queries and keys large enough that attention picks, instead of averaging everything.
        gain = (
            1.5
            if "q_proj" in name or "k_proj" in name
            else 1.2
            if "qkv" in name or "query_key_value" in name
            else 1.0
        )
        return noise(seed, *shape) * np.float32(gain / shape[-1] ** 0.5)


@dataclass
class Recorded:
    """What a family's fixture holds.

    Attributes:
        expected: the logits of each prompt.
    """

    config: dict[str, Any]
    shapes: dict[str, list[int]]
    checksum: int
    expected: list[Expected]

    def save(self, name: str) -> None:
        arrays = {
            f"{key} {i}": value
            for i, one in enumerate(self.expected)
            for key, value in asdict(one).items()
        }
        text = json.dumps([self.config, self.shapes, self.checksum])
        path = FIXTURES / f"family-{name}.npz"
        np.savez_compressed(path, text=np.frombuffer(text.encode(), np.uint8), **arrays)

    @classmethod
    def load(cls, name: str) -> Recorded:
        with np.load(FIXTURES / f"family-{name}.npz") as file:
            arrays = dict(file)
        config, shapes, checksum = json.loads(arrays.pop("text").tobytes())
        count = sum(key.startswith("last ") for key in arrays)
        expected = [
            Expected(**{key: arrays[f"{key} {i}"] for key in Expected.__dataclass_fields__})
            for i in range(count)
        ]
        return cls(config, shapes, checksum, expected)


SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 96,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": None,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 48,
}
# No whole blocks of 32.
UNEVEN = {"hidden_size": 92, "intermediate_size": 100}
