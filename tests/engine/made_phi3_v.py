"""A small Phi-3-vision with made-up weights, as a folder; see ``made_vision``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from made_models import Weights, noise, small_steps
from made_vision import image_of, tokenizer
from model_files import write_safetensors

from webllm_py.checkpoint.mlc_export import chat_config
from webllm_py.checkpoint.mlc_writer import MLCWriter

__all__ = [
    "CLIP",
    "CROPS",
    "MERGE",
    "TEXT",
    "TILE",
    "phi3_v_conversations",
    "phi3_v_weights",
    "write_phi3_v",
    "write_phi3_v_mlc",
]

TILE, PATCH, MERGE, CROPS = 32, 4, 2, 6
HIDDEN = 128
SEEING = "model.vision_embed_tokens"
# transformers' config of the tower; the last layer is not computed.
CLIP: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": 160,
    "num_attention_heads": HIDDEN // 64,
    "num_hidden_layers": 3,
    "image_size": TILE,
    "patch_size": PATCH,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
TEXT: dict[str, Any] = {
    "vocab_size": 283,
    "hidden_size": 96,
    "intermediate_size": 136,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "max_position_embeddings": 512,
    "original_max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
}
# Phi-3.5-vision's own, with a byte-level tokenizer's texts for roles.
TEMPLATE = (
    "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + "
    "'<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{- '<|assistant|>\n' -}}{% endif %}"
)


def phi3_v_weights() -> Weights:
    """All tensors, by Hugging Face's names."""
    weights = Weights()

    def dense(
        name: str, rows: int, columns: int, gain: float = 1.0, *, biased: bool = True
    ) -> None:
        scale = np.float32(gain / columns**0.5)
        weights[f"{name}.weight"] = noise(f"phi3_v {name}", rows, columns) * scale
        if biased:
            weights[f"{name}.bias"] = small_steps(f"phi3_v {name} bias", rows, 0.2)

    def norm(name: str, size: int, *, biased: bool = True) -> None:
        weights[f"{name}.weight"] = 1 + small_steps(f"phi3_v {name} weight", size, 0.2)
        if biased:
            weights[f"{name}.bias"] = small_steps(f"phi3_v {name} bias", size, 0.2)

    seeing = SEEING
    tower = f"{seeing}.img_processor.vision_model"
    hidden, wide, text = HIDDEN, CLIP["intermediate_size"], TEXT["hidden_size"]
    weights[f"{tower}.embeddings.class_embedding"] = noise("phi3_v class", hidden)
    patch = f"{tower}.embeddings.patch_embedding"
    dense(patch, hidden, 3 * PATCH**2, biased=False)
    weights[f"{patch}.weight"] = weights[f"{patch}.weight"].reshape(hidden, 3, PATCH, PATCH)
    rows = (TILE // PATCH) ** 2 + 1
    dense(f"{tower}.embeddings.position_embedding", rows, hidden, hidden**0.5, biased=False)
    norm(f"{tower}.pre_layrnorm", hidden)
    for i in range(CLIP["num_hidden_layers"]):
        layer = f"{tower}.encoder.layers.{i}"
        norm(f"{layer}.layer_norm1", hidden)
        for part, gain in (("q", 1.7), ("k", 1.7), ("v", 1.0), ("out", 1.0)):
            dense(f"{layer}.self_attn.{part}_proj", hidden, hidden, gain)
        norm(f"{layer}.layer_norm2", hidden)
        dense(f"{layer}.mlp.fc1", wide, hidden)
        dense(f"{layer}.mlp.fc2", hidden, wide)
    norm(f"{tower}.post_layernorm", hidden)
    joined = MERGE**2 * hidden
    weights[f"{seeing}.sub_GN"] = noise("phi3_v sub", joined).reshape(1, 1, 1, joined)
    weights[f"{seeing}.glb_GN"] = noise("phi3_v glb", joined).reshape(1, 1, joined)
    dense(f"{seeing}.img_projection.0", text, joined)
    dense(f"{seeing}.img_projection.2", text, text)
    plain: dict[str, Any] = {"biased": False}
    dense("model.embed_tokens", TEXT["vocab_size"], text, text**0.5, **plain)
    for i in range(TEXT["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        norm(f"{layer}.input_layernorm", text, **plain)
        dense(f"{layer}.self_attn.qkv_proj", 3 * text, text, 1.2, **plain)
        dense(f"{layer}.self_attn.o_proj", text, text, **plain)
        norm(f"{layer}.post_attention_layernorm", text, **plain)
        dense(f"{layer}.mlp.gate_up_proj", 2 * TEXT["intermediate_size"], text, **plain)
        dense(f"{layer}.mlp.down_proj", text, TEXT["intermediate_size"], **plain)
    norm("model.norm", text, **plain)
    dense("lm_head", TEXT["vocab_size"], text, **plain)
    return weights


def write_phi3_v(folder: Path) -> Path:
    """A Hugging Face folder; returns it."""
    folder.mkdir()
    tower = {"image_dim_out": HIDDEN, "name": "clip_vision_model", "num_img_tokens": 16}
    seeing = {
        "embedding_cls": "image",
        "hd_transform_order": "sub_glb",
        "projection_cls": "mlp",
        "use_hd_transform": True,
        "with_learnable_separator": True,
    }
    config = {**TEXT, "model_type": "phi3_v", "img_processor": tower, "embd_layer": seeing}
    (folder / "config.json").write_text(json.dumps(config))
    prepared = {"num_crops": CROPS, "image_processor_type": "Phi3VImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    write_safetensors(folder / "model.safetensors", phi3_v_weights(), "F32")
    return folder


def mlc_name(name: str) -> str:
    """mlc_llm's name of a tensor."""
    renamed = {
        "model.embed_tokens.": "model.embd.",
        "model.layers.": "model.h.",
        "input_layernorm": "ln",
        "self_attn.o_proj": "mixer.out_proj",
        "self_attn.qkv_proj": "mixer.qkv_proj",
    }
    if name.startswith(SEEING):
        for number, layer in (("0", "linear_1"), ("2", "linear_2")):
            name = name.replace(f"img_projection.{number}", f"img_projection.{layer}")
        return name.removeprefix("model.")
    for old, new in renamed.items():
        name = name.replace(old, new)
    return name


def write_phi3_v_mlc(folder: Path, quantization: str = "q0f32") -> Path:
    """An MLC folder, whose tower is not quantized; returns it."""
    config = chat_config({**TEXT, "model_type": "phi3_v"})
    writer = MLCWriter(quantization, config, raw=quantization == "q0f32")
    for name, weight in phi3_v_weights().items():
        writer.add(mlc_name(name), weight)
    writer.write(folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return folder


def phi3_v_conversations() -> dict[str, list[dict[str, Any]]]:
    """Messages by name; images are arrays."""
    wide = {"type": "image", "image": image_of("phi3_v wide", 90, 50)}
    high = {"type": "image", "image": image_of("phi3_v high", 23, 61)}
    question = {"type": "text", "text": "What is to be seen?"}
    return {
        "wide": [{"role": "user", "content": [wide, question]}],
        "high": [{"role": "user", "content": [high, question]}],
        "low": [{"role": "user", "content": [{**wide, "detail": "low"}, question]}],
    }
