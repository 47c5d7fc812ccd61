"""A small model of each family, as transformers would save it, with weights out of a formula.

The fixture of a family holds what transformers wrote (config.json, and the names and shapes of the
tensors) and the logits it computed; ``tests/fixtures/make_fixtures.py families`` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from expected import FIXTURES, Expected
from made_models import Weights, hashes, noise, small_steps

__all__ = [
    "COLUMNS",
    "FAMILY_MODELS",
    "LAST",
    "LONG_MODELS",
    "VOCABULARY",
    "FamilyModel",
    "Recorded",
]

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
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0}
# No whole blocks of 32.
UNEVEN = {"hidden_size": 92, "intermediate_size": 100}
PHI = {"num_attention_heads": 3, "num_key_value_heads": 3, "hidden_size": 96}
PARTIAL = {"hidden_size": 128, "num_key_value_heads": 4, "partial_rotary_factor": 0.5}
FACTORS = [1.0 + 0.1 * i for i in range(16)]

FAMILY_MODELS = {
    model.name: model
    for model in (
        FamilyModel("mistral", "mistral", {"sliding_window": 40}, gguf="llama"),
        FamilyModel(
            "ministral3",
            "ministral3",
            {
                "head_dim": 32,
                "rope_parameters": {
                    **YARN,
                    "mscale": 1.0,
                    "mscale_all_dim": 1.0,
                    "llama_4_scaling_beta": 0.1,
                },
            },
            gguf="mistral3",
        ),
        FamilyModel("smollm3", "smollm3", {"num_hidden_layers": 8}, gguf="smollm3"),
        FamilyModel(
            "qwen2-window",
            "qwen2",
            {
                "use_sliding_window": True,
                "sliding_window": 24,
                "max_window_layers": 2,
                "num_hidden_layers": 4,
            },
        ),
        FamilyModel("qwen2-yarn", "qwen2", {"rope_parameters": YARN}, gguf="qwen2"),
        FamilyModel("qwen3", "qwen3", {"head_dim": 40, "tie_word_embeddings": True}, gguf="qwen3"),
        FamilyModel(
            "qwen3-moe",
            "qwen3_moe",
            {
                "head_dim": 40,
                "num_experts": 7,
                "num_experts_per_tok": 3,
                "moe_intermediate_size": 44,
                "norm_topk_prob": True,
            },
            gguf="qwen3moe",
        ),
        FamilyModel(
            "qwen3.5",
            "qwen3_5_text",
            {
                "head_dim": 32,
                "num_hidden_layers": 8,
                "linear_num_key_heads": 2,
                "linear_num_value_heads": 4,
                "linear_key_head_dim": 32,
                "linear_value_head_dim": 16,
                "tie_word_embeddings": True,
            },
            gguf="qwen35",
            centered=True,
        ),
        FamilyModel(
            "gpt-oss",
            "gpt_oss",
            {
                **UNEVEN,
                "head_dim": 32,
                "intermediate_size": 44,
                "num_hidden_layers": 4,
                "num_local_experts": 6,
                "num_experts_per_tok": 2,
                "sliding_window": 40,
                "rope_parameters": {**YARN, "truncate": False},
            },
            gguf="gpt-oss",
        ),
        FamilyModel("gemma", "gemma", {"head_dim": 32}, gguf="gemma", centered=True),
        FamilyModel(
            "gemma2",
            "gemma2",
            {
                **UNEVEN,
                "head_dim": 256,
                "num_hidden_layers": 4,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "sliding_window": 33,
                "query_pre_attn_scalar": 256,
                "attn_logit_softcapping": 3.0,
                "final_logit_softcapping": 2.0,
            },
            gguf="gemma2",
            centered=True,
        ),
        # Scores that GGUF would take for others: those of the largest models of the series.
        FamilyModel(
            "gemma2-27b",
            "gemma2",
            {"head_dim": 32, "query_pre_attn_scalar": 24, "sliding_window": 33},
            centered=True,
        ),
        FamilyModel(
            "gemma3-27b",
            "gemma3_text",
            {
                "head_dim": 32,
                "query_pre_attn_scalar": 24,
                "sliding_window": 33,
                "layer_types": ["sliding_attention", "full_attention"],
            },
            centered=True,
        ),
        FamilyModel(
            "gemma3",
            "gemma3_text",
            {
                "head_dim": 64,
                "num_hidden_layers": 12,
                "sliding_window": 40,
                "query_pre_attn_scalar": 64,
                "rope_parameters": {
                    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                },
            },
            gguf="gemma3",
            centered=True,
        ),
        # Its context is loaded within the original one, so that the short factors apply.
        FamilyModel(
            "phi3",
            "phi3",
            {
                **PHI,
                "sliding_window": 60,
                "original_max_position_embeddings": 256,
                "rope_parameters": {
                    **LONGROPE,
                    "short_factor": FACTORS,
                    "long_factor": FACTORS[::-1],
                },
            },
            gguf="phi3",
            context=200,
        ),
        FamilyModel(
            "phi4-mini",
            "phi3",
            {
                **PHI,
                "num_key_value_heads": 1,
                "tie_word_embeddings": True,
                "partial_rotary_factor": 0.75,
                "original_max_position_embeddings": 32,
                "rope_parameters": {
                    **LONGROPE,
                    "partial_rotary_factor": 0.75,
                    "short_factor": FACTORS[:12],
                    "long_factor": FACTORS[:3:-1],
                },
            },
            gguf="phi3",
            prompts=(150, 45, 33),
        ),
        FamilyModel("olmo2", "olmo2", gguf="olmo2"),
        FamilyModel("stablelm", "stablelm", {"use_qkv_bias": True, **PARTIAL}, gguf="stablelm"),
        FamilyModel(
            "stablelm-12b",
            "stablelm",
            {
                **PARTIAL,
                "num_key_value_heads": 2,
                "qk_layernorm": True,
                "use_parallel_residual": True,
            },
            gguf="stablelm",
        ),
        FamilyModel(
            "phi",
            "phi",
            {**UNEVEN, "num_attention_heads": 3, "num_key_value_heads": 3, "hidden_size": 72},
            gguf="phi2",
        ),
        FamilyModel("gpt-neox", "gpt_neox", PARTIAL, gguf="gptneox"),
        FamilyModel(
            "redpajama", "gpt_neox", {"use_parallel_residual": False, **PARTIAL}, gguf="gptneox"
        ),
        FamilyModel("gpt2", "gpt2", {"n_inner": 128, "num_key_value_heads": 4}, gguf="gpt2"),
    )
}

LAST = 8
"""Positions at the end of a long text whose logits are kept."""
LONG = {"hidden_size": 64, "num_attention_heads": 2, "max_position_embeddings": 8192}
LONG_MODELS = {
    model.name: model
    for model in (
        FamilyModel(
            "mistral-long",
            "mistral",
            {**LONG, "num_key_value_heads": 1, "head_dim": 32, "sliding_window": 1000},
            prompts=(4159,),
        ),
        FamilyModel(
            "gemma3-long",
            "gemma3_text",
            {
                **LONG,
                "num_key_value_heads": 1,
                "head_dim": 32,
                "layer_types": ["sliding_attention", "full_attention"],
                "sliding_window": 700,
                "query_pre_attn_scalar": 32,
            },
            prompts=(4229,),
            centered=True,
        ),
    )
}
