"""A small Gemma 3 that sees, with made-up weights, as a folder and as GGUF files; see
``made_vision``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from family_gguf import write_family_gguf
from made_families import FamilyModel, Recorded
from made_models import Weights, noise, small_steps
from made_vision import image_of, tower_weights, with_special, write_tower
from model_files import tokenizer_keys, write_safetensors

__all__ = [
    "GEMMA3_CONFIG",
    "GEMMA3_PREPARED",
    "GEMMA3_TEMPLATE",
    "gemma3_conversations",
    "gemma3_tokenizer",
    "gemma3_weights",
    "newer_name",
    "write_gemma3_v",
    "write_gemma3_v_gguf",
]

TILE, PATCH, MERGE, HIDDEN = 36, 3, 3, 72
MORE = "and once more, where a chunk ends"
ROWS = (TILE // PATCH // MERGE) ** 2
SPECIAL = (
    *("<start_of_image>", "<image_soft_token>", "<end_of_image>"),
    *("<start_of_turn>", "<end_of_turn>"),
)
TOWER: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_size": HIDDEN,
    "image_size": TILE,
    "intermediate_size": 100,
    "layer_norm_eps": 1e-6,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "patch_size": PATCH,
    "vision_use_head": False,
}
# Its window is hardly wider than an image.
TEXT = FamilyModel(
    "gemma3 seeing",
    "gemma3_text",
    {
        "head_dim": 32,
        "num_hidden_layers": 6,
        "sliding_window": 20,
        "query_pre_attn_scalar": 32,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
        "layer_types": [*["sliding_attention"] * 5, "full_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    },
    gguf="gemma3",
    centered=True,
)
GEMMA3_CONFIG: dict[str, Any] = {
    "model_type": "gemma3",
    "image_token_index": 259,
    "mm_tokens_per_image": ROWS,
    "text_config": {**TEXT.fields, "model_type": TEXT.model_type},
    "vision_config": TOWER,
}
GEMMA3_PREPARED: dict[str, Any] = {
    "do_pan_and_scan": None,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "Gemma3ImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "pan_and_scan_min_crop_size": 20,
    "resample": 2,
    "size": {"height": TILE, "width": TILE},
}
# What Gemma 3's own comes to, without system messages.
GEMMA3_TEMPLATE = (
    "<s>{% for message in messages %}<start_of_turn>"
    "{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}{% endif %}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def gemma3_tokenizer() -> dict[str, Any]:
    """tokenizer.json: bytes and special tokens."""
    return with_special(SPECIAL)


def text_shapes() -> dict[str, list[int]]:
    """Of the text part, by its names alone."""
    c = TEXT.fields
    hidden, wide, head = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    heads, kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
    layer = {
        "self_attn.q_proj": [heads * head, hidden],
        "self_attn.k_proj": [kv_heads * head, hidden],
        "self_attn.v_proj": [kv_heads * head, hidden],
        "self_attn.o_proj": [hidden, heads * head],
        "self_attn.q_norm": [head],
        "self_attn.k_norm": [head],
        "mlp.gate_proj": [wide, hidden],
        "mlp.up_proj": [wide, hidden],
        "mlp.down_proj": [hidden, wide],
        "input_layernorm": [hidden],
        "post_attention_layernorm": [hidden],
        "pre_feedforward_layernorm": [hidden],
        "post_feedforward_layernorm": [hidden],
    }
    shapes = {"model.embed_tokens.weight": [c["vocab_size"], hidden]}
    for i in range(c["num_hidden_layers"]):
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    return {**shapes, "model.norm.weight": [hidden]}


def text_weights() -> Weights:
    """Of the text part, by its names alone."""
    return TEXT.weights(text_shapes())


def seeing_weights() -> Weights:
    """Of what sees, by the hub's names."""
    weights = tower_weights("gemma3", "vision_tower.vision_model", TOWER)
    stem, text = "multi_modal_projector.mm", TEXT.fields["hidden_size"]
    projection = noise("gemma3 projection", HIDDEN, text) * np.float32(HIDDEN**-0.5)
    weights[f"{stem}_input_projection_weight"] = projection
    weights[f"{stem}_soft_emb_norm.weight"] = small_steps("gemma3 soft norm", HIDDEN, 0.2)
    return weights


def gemma3_weights() -> Weights:
    """All tensors, by the hub's names."""
    text = {f"language_model.{name}": weight for name, weight in text_weights().items()}
    return {**seeing_weights(), **text}


def write_gemma3_v(folder: Path, *, newer: bool = False) -> Path:
    """A Hugging Face folder; returns it.

    Args:
        newer: with the files and the names of transformers 5.
    """
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(GEMMA3_CONFIG))
    (folder / "tokenizer.json").write_text(json.dumps(gemma3_tokenizer()))
    (folder / "chat_template.jinja").write_text(GEMMA3_TEMPLATE)
    weights, prepared, name = gemma3_weights(), GEMMA3_PREPARED, "preprocessor_config.json"
    if newer:
        weights = {newer_name(name): weight for name, weight in weights.items()}
        prepared = {"image_processor": prepared, "image_seq_length": ROWS}
        name = "processor_config.json"
    (folder / name).write_text(json.dumps(prepared))
    write_safetensors(folder / "model.safetensors", weights, "F32")
    return folder


def newer_name(name: str) -> str:
    """A tensor's name in transformers 5."""
    name = name.replace("language_model.model.", "language_model.")
    return "model." + name.replace("vision_tower.vision_model.", "vision_tower.")


def write_gemma3_v_gguf(folder: Path, *, kind: str = "gemma3", **numbers: Any) -> Path:
    """The text part and llama.cpp's projector file in a folder; returns it.

    Args:
        kind: of the projector.
        numbers: keys of the latter below "clip.vision.", in the place of its own.
    """
    folder.mkdir()
    plain = tokenizer_keys()
    keys = {
        "tokenizer.ggml.tokens": [*plain["tokenizer.ggml.tokens"], *SPECIAL],
        "tokenizer.ggml.token_type": [*plain["tokenizer.ggml.token_type"], *[3] * len(SPECIAL)],
        "tokenizer.chat_template": GEMMA3_TEMPLATE,
    }
    recorded = Recorded({**TEXT.fields, "model_type": TEXT.model_type}, {}, 0, [])
    text = write_family_gguf(folder / "text-F32.gguf", TEXT, recorded, text_weights(), keys=keys)
    names = {
        "multi_modal_projector.mm_input_projection_weight": "mm.input_projection.weight",
        "multi_modal_projector.mm_soft_emb_norm": "mm.soft_emb_norm",
    }
    weights = seeing_weights()
    weights["multi_modal_projector.mm_soft_emb_norm.weight"] += np.float32(1)
    numbers = {"projector.scale_factor": MERGE, **numbers}
    path = folder / "mmproj-F32.gguf"
    write_tower(path, kind, "vision_tower.vision_model", TOWER, weights, numbers, names)
    return text.parent


def gemma3_conversations() -> dict[str, list[dict[str, Any]]]:
    """Messages by name; images are arrays."""
    wide = {"type": "image", "image": image_of("gemma3 wide", 90, 50)}
    high = {"type": "image", "image": image_of("gemma3 high", 23, 61)}

    def text(words: str) -> dict[str, Any]:
        return {"type": "text", "text": words}

    return {
        "one": [{"role": "user", "content": [wide, text("What is to be seen here?")]}],
        # A CPU's chunk would end within the third image: it ends before it.
        "three": [
            {"role": "user", "content": [text("First"), high]},
            {"role": "assistant", "content": "Seen."},
            {
                "role": "user",
                "content": [text("Then"), wide, text(MORE), high],
            },
        ],
        "crops": [{"role": "user", "content": [text("Look:"), {**high, "detail": "high"}]}],
    }
