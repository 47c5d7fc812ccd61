"""Hugging Face's and MLC's tensor names, as GGUF has them: the names that models use throughout."""

from __future__ import annotations

import re
from collections.abc import Mapping

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import CorruptCheckpointError

__all__ = ["HUGGINGFACE_NAMES", "MLC_NAMES", "MLC_PREFIX", "gguf_names", "gguf_stem"]

# Of llama and the many families that kept its names. "{}" is a number: the layer's, an expert's.
HUGGINGFACE_NAMES: Mapping[str, str] = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.{}.input_layernorm": "blk.{}.attn_norm",
    "model.layers.{}.self_attn.q_proj": "blk.{}.attn_q",
    "model.layers.{}.self_attn.k_proj": "blk.{}.attn_k",
    "model.layers.{}.self_attn.v_proj": "blk.{}.attn_v",
    "model.layers.{}.self_attn.o_proj": "blk.{}.attn_output",
    "model.layers.{}.post_attention_layernorm": "blk.{}.ffn_norm",
    "model.layers.{}.mlp.gate_proj": "blk.{}.ffn_gate",
    "model.layers.{}.mlp.up_proj": "blk.{}.ffn_up",
    "model.layers.{}.mlp.down_proj": "blk.{}.ffn_down",
}

# MLC's where they are others: q, k and v, and gate and up, are one tensor each. Phi's are older.
MLC_NAMES: Mapping[str, str] = {
    "model.layers.{}.self_attn.qkv_proj": "blk.{}.attn_qkv",
    "model.layers.{}.self_attn.c_attn": "blk.{}.attn_qkv",
    "model.layers.{}.mlp.gate_up_proj": "blk.{}.ffn_up",
    "transformer.embd": "token_embd",
    "transformer.norm": "output_norm",
    "transformer.h.{}.ln": "blk.{}.attn_norm",
    "transformer.h.{}.mixer.qkv_proj": "blk.{}.attn_qkv",
    "transformer.h.{}.mixer.Wqkv": "blk.{}.attn_qkv",
    "transformer.h.{}.mixer.out_proj": "blk.{}.attn_output",
    "transformer.h.{}.post_attention_layernorm": "blk.{}.ffn_norm",
    "transformer.h.{}.mlp.gate_up_proj": "blk.{}.ffn_up",
    "transformer.h.{}.mlp.down_proj": "blk.{}.ffn_down",
    "transformer.h.{}.mlp.fc1": "blk.{}.ffn_up",
    "transformer.h.{}.mlp.fc2": "blk.{}.ffn_down",
    "lm_head.ln": "output_norm",
    "lm_head.linear": "output",
}
# Of Gemma 3, which MLC takes for a part of a model that sees.
MLC_PREFIX = "language_model."

# Constants that some exporters stored, and that are computed here.
IGNORED = re.compile(
    r"\.(rotary_emb\.inv_freq|attn_rot_embd(\.weight)?|masked_bias|(attn|attention)\.bias)$"
)
NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def gguf_names(tensors: Mapping[str, TensorInfo], more: Mapping[str, str]) -> dict[str, TensorInfo]:
    """The tensors under GGUF's names. Names that no map knows stay as they are.

    Args:
        more: a family's own names, which come before ``HUGGINGFACE_NAMES``: without their last
            part ("weight", "bias"), or with it.

    Raises:
        CorruptCheckpointError: two tensors come to the same name.
    """
    renamed: dict[str, TensorInfo] = {}
    for name, tensor in tensors.items():
        if IGNORED.search(name):
            continue
        stem, dot, kind = name.rpartition(".")
        pattern, whole = NUMBER.sub("{}", stem), NUMBER.sub("{}", name)
        known = more.get(pattern, HUGGINGFACE_NAMES.get(pattern))
        if whole in more:
            new = more[whole].format(*NUMBER.findall(name))
        else:
            new = name if known is None else known.format(*NUMBER.findall(stem)) + dot + kind
        if new in renamed:
            raise CorruptCheckpointError(f"two tensors of the checkpoint are {new}")
        renamed[new] = tensor
    return renamed


def gguf_stem(module: str, more: Mapping[str, str]) -> str:
    """A module's name in transformers, as GGUF has it; itself if no map knows it.

    Args:
        more: as ``gguf_names`` takes it.
    """
    # Of a model that also sees, as the part that reads and writes text.
    plain = "model." + module.replace("language_model.", "").removeprefix("model.")
    for name in (module, plain):
        pattern = NUMBER.sub("{}", name)
        known = more.get(pattern, HUGGINGFACE_NAMES.get(pattern))
        if known:
            return known.format(*NUMBER.findall(name))
    return module
