"""Qwen3.5: three gated delta nets (arXiv 2412.06464) to one attention, whose result has a gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import LayerKind
from webllm_py.models.families import qwen3
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters
from webllm_py.models.recurrence import CONV, DeltaConfig

__all__ = ["FAMILY"]

ROTATED = 0.25
"""The part of a head, where config.json does not say it."""


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """GGUF's converter repeats key heads where others group value heads, and stores the decay."""
    conv = n.get("linear_conv_kernel_dim", "ssm.conv_kernel", CONV)
    if conv != CONV:
        raise UnsupportedModelError(f"delta nets that convolve {conv!r} positions are not run")
    rope, _ = n.ropes
    head_dim = n.get("head_dim", "attention.key_length", 256)
    share = rope.get("partial_rotary_factor", n.get("partial_rotary_factor", "", ROTATED))
    v_heads = n.count("linear_num_value_heads", "ssm.time_step_rank", 32)
    return {
        "n_layers": n.layers,
        "head_dim": head_dim,
        "rotary_dim": n.get("", "rope.dimension_count", int(head_dim * share)),
        "qk_norm": "head",
        "norm_plus": 1.0 if n.as_transformers else 0.0,
        "output_gate": True,
        "layer_kinds": tuple(LayerKind(recurrent=delta) for delta in delta_layers(n)),
        "recurrence": DeltaConfig(
            k_heads=n.count("linear_num_key_heads", "ssm.group_count", 16),
            v_heads=v_heads,
            k_dim=n.count("linear_key_head_dim", "ssm.state_size", 128),
            v_dim=n.count("", "ssm.inner_size", v_heads * 128) // v_heads
            if n.gguf
            else n.count("linear_value_head_dim", "", 128),
            tiled=n.gguf,
            log_decay=not n.gguf,
        ),
    }


def delta_layers(n: HyperParameters) -> list[bool]:
    """Which layers are delta nets: those that config.json says, else all but the last of every
    four."""
    types = None if n.gguf else n.metadata.get("layer_types")
    if isinstance(types, list):
        return [kind == "linear_attention" for kind in types]
    every = n.count("full_attention_interval", "full_attention_interval", 4)
    return [bool((i + 1) % every) for i in range(n.layers)]


FAMILY = Family(
    differences,
    names={
        **qwen3.NAMES,
        "model.layers.{}.linear_attn.in_proj_qkv": "blk.{}.attn_qkv",
        "model.layers.{}.linear_attn.in_proj_z": "blk.{}.attn_gate",
        "model.layers.{}.linear_attn.in_proj_a": "blk.{}.ssm_alpha",
        "model.layers.{}.linear_attn.in_proj_b": "blk.{}.ssm_beta",
        "model.layers.{}.linear_attn.out_proj": "blk.{}.ssm_out",
        "model.layers.{}.linear_attn.norm": "blk.{}.ssm_norm",
        "model.layers.{}.linear_attn.conv1d": "blk.{}.ssm_conv1d",
        "model.layers.{}.linear_attn.conv1d_weight": "blk.{}.ssm_conv1d.weight",
        "model.layers.{}.linear_attn.A_log": "blk.{}.ssm_a",
        "model.layers.{}.linear_attn.dt_bias": "blk.{}.ssm_dt.bias",
    },
    defaults={"num_key_value_heads": 4, "max_position_embeddings": 32768},
)
