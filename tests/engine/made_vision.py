"""Models that see, with made-up weights, as folders; conversations with made-up images.

A token is a byte, or one of the special ones. As in ``made_models``, nothing need be kept.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from made_models import Spec, Weights, hashes, noise, small_steps, weights_of
from model_files import gguf_writer, tokenizer_json, tokenizer_keys, write_safetensors

from webllm_py.checkpoint import GGUFWriter

__all__ = [
    "FIXTURE",
    "SEEING",
    "TEMPLATE",
    "VisionSpec",
    "conversations",
    "image_of",
    "png_of",
    "preprocessor",
    "tokenizer",
    "vision_weights",
    "whole_config",
    "write_projector",
    "write_seeing",
    "write_text_gguf",
]

FIXTURE = Path(__file__).parents[1] / "fixtures" / "vision.npz"
GRID = 4  # most tiles along a side
SPECIAL = (
    *("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, GRID + 1) for column in range(1, GRID + 1)),
)
FIRST_SPECIAL = 258
IMAGE_TOKEN = FIRST_SPECIAL
# SmolVLM's own.
TEMPLATE = (
    "<s>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


@dataclass(frozen=True)
class VisionSpec:
    """A model's shape: that of its vision tower, and the text part's.

    Attributes:
        longest: pixels of an image before it is cut into tiles.
    """

    name: str
    architecture: str
    tile: int
    patch: int
    hidden: int
    intermediate: int
    heads: int
    merge: int
    longest: int
    text: Spec
    layers: int = 2

    @property
    def rows(self) -> int:
        """Of a tile, in the prompt."""
        return (self.tile // self.patch // self.merge) ** 2


def text_spec(name: str, vocab: int, hidden: int) -> Spec:
    """Of the text part."""
    return Spec(f"{name} text", "llama", vocab, hidden, 160, 4, 2, hidden // 4, tied=False)


SEEING = {
    spec.name: spec
    for spec in (
        VisionSpec("smolvlm", "smolvlm", 64, 8, 72, 100, 3, 4, 192, text_spec("smolvlm", 283, 96)),
        VisionSpec("idefics3", "idefics3", 32, 4, 64, 96, 2, 2, 64, text_spec("idefics", 293, 128)),
    )
}


def whole_config(spec: VisionSpec) -> dict[str, Any]:
    """config.json."""
    return {
        "model_type": spec.architecture,
        "image_token_id": IMAGE_TOKEN,
        "scale_factor": spec.merge,
        "tie_word_embeddings": False,
        "text_config": spec.text.config,
        "vision_config": {
            "model_type": f"{spec.architecture}_vision",
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": spec.hidden,
            "image_size": spec.tile,
            "intermediate_size": spec.intermediate,
            "num_attention_heads": spec.heads,
            "num_hidden_layers": spec.layers,
            "patch_size": spec.patch,
        },
    }


def preprocessor(spec: VisionSpec) -> dict[str, Any]:
    """preprocessor_config.json."""
    return {
        "do_image_splitting": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": {"longest_edge": spec.tile},
        "resample": 1,
        "size": {"longest_edge": spec.longest},
    }


def tokenizer() -> dict[str, Any]:
    """tokenizer.json: bytes and special tokens."""
    made = tokenizer_json()
    flags = {key: value for key, value in made["added_tokens"][0].items() if key == "special"}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    made["added_tokens"] += [
        {"id": FIRST_SPECIAL + i, "content": text, **plain, **flags}
        for i, text in enumerate(SPECIAL)
    ]
    for step in ("pre_tokenizer", "decoder"):
        made[step] = {**made[step], "trim_offsets": True}  # which the tokenizers package wants
    return made


def vision_weights(spec: VisionSpec) -> Weights:
    """All tensors, by Hugging Face's names."""
    s, weights = spec, Weights()
    tower, layers = "model.vision_model", "model.vision_model.encoder.layers"

    def dense(name: str, rows: int, columns: int, gain: float = 1.0, spread: float = 0.2) -> None:
        scale = np.float32(gain / columns**0.5)
        weights[f"{name}.weight"] = noise(f"{s.name} {name}", rows, columns) * scale
        if spread:
            weights[f"{name}.bias"] = small_steps(f"{s.name} {name} bias", rows, spread)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = 1 + small_steps(f"{s.name} {name} weight", s.hidden, 0.2)
        weights[f"{name}.bias"] = small_steps(f"{s.name} {name} bias", s.hidden, 0.2)

    patch = f"{tower}.embeddings.patch_embedding"
    dense(patch, s.hidden, 3 * s.patch**2)
    shape = (s.hidden, 3, s.patch, s.patch)
    weights[f"{patch}.weight"] = weights[f"{patch}.weight"].reshape(shape)
    positions = (s.tile // s.patch) ** 2
    dense(f"{tower}.embeddings.position_embedding", positions, s.hidden, s.hidden**0.5, 0)
    for i in range(s.layers):
        layer = f"{layers}.{i}"
        norm(f"{layer}.layer_norm1")
        for part, gain in (("q", 1.7), ("k", 1.7), ("v", 1.0), ("out", 1.0)):
            dense(f"{layer}.self_attn.{part}_proj", s.hidden, s.hidden, gain)
        norm(f"{layer}.layer_norm2")
        dense(f"{layer}.mlp.fc1", s.intermediate, s.hidden)
        dense(f"{layer}.mlp.fc2", s.hidden, s.intermediate)
    norm(f"{tower}.post_layernorm")
    joined = s.merge**2 * s.hidden
    dense("model.connector.modality_projection.proj", s.text.hidden, joined, 1.0, 0)
    for name, weight in weights_of(spec.text).items():
        inner = (
            name.replace("model.", "model.text_model.", 1) if name.startswith("model.") else name
        )
        weights[inner] = weight
    return weights


def write_seeing(folder: Path, spec: VisionSpec) -> Path:
    """A Hugging Face folder; returns it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(whole_config(spec)))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor(spec)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    write_safetensors(folder / "model.safetensors", vision_weights(spec), "F32")
    return folder


GGUF_NAMES = {
    "model.vision_model.embeddings.patch_embedding": "v.patch_embd",
    "model.vision_model.embeddings.position_embedding": "v.position_embd",
    "model.vision_model.encoder.layers": "v.blk",
    "model.vision_model.post_layernorm": "v.post_ln",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
    "model.connector.modality_projection.proj": "mm.model.fc",
}


def write_projector(path: Path, spec: VisionSpec, *, swapped: bool = False) -> Path:
    """llama.cpp's projector file; returns its path.

    Args:
        swapped: call the MLP's layers as older files do.
    """
    vision = {
        "image_size": spec.tile,
        "patch_size": spec.patch,
        "embedding_length": spec.hidden,
        "feed_forward_length": spec.intermediate,
        "projection_dim": spec.text.hidden,
        "block_count": spec.layers,
        "attention.head_count": spec.heads,
        "attention.layer_norm_epsilon": 1e-6,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "preproc_image_size": spec.longest,
        "projector.scale_factor": spec.merge,
    }
    writer = GGUFWriter()
    writer.add("general.architecture", "clip")
    writer.add("general.type", "mmproj")
    writer.add("clip.projector_type", "idefics3")
    writer.add("clip.use_gelu", True)
    for key, value in vision.items():
        writer.add(f"clip.vision.{key}", value)
    for name, weight in vision_weights(spec).items():
        if name.startswith(("model.text_model.", "lm_head.")):
            continue
        for old, new in GGUF_NAMES.items():
            name = name.replace(old, new)
        if swapped:
            for old, new in (("ffn_up", "?"), ("ffn_down", "ffn_up"), ("?", "ffn_down")):
                name = name.replace(old, new)
        writer.add_tensor(name, weight.shape, "F32", [weight.tobytes()])
    with path.open("wb") as file:
        writer.write(file)
    return path


def write_text_gguf(path: Path, spec: VisionSpec) -> Path:
    """The text part as a GGUF file; returns its path."""
    added = [*SPECIAL, *(f"<unused{i}>" for i in range(spec.text.vocab - 258 - len(SPECIAL)))]
    plain = tokenizer_keys()
    keys = {
        "tokenizer.ggml.tokens": [*plain["tokenizer.ggml.tokens"], *added],
        "tokenizer.ggml.token_type": [*plain["tokenizer.ggml.token_type"], *[3] * len(added)],
        "tokenizer.chat_template": TEMPLATE,
    }
    with path.open("wb") as file:
        gguf_writer(spec.text, weights_of(spec.text), keys=keys).write(file)
    return path


def image_of(name: str, width: int, height: int) -> np.ndarray:
    """uint8 (height, width, 3): waves, an edge and some noise."""
    y, x = np.mgrid[:height, :width]
    random = (hashes(name, 3 * width * height) % np.uint64(40)).reshape(height, width, 3)
    waves = [x * 7 % 200, y * 5 % 210, (x + 2 * y) * 3 % 190]
    made = np.stack(waves, axis=2) + random.astype(np.int64) + 60 * (x > width // 2)[..., None]
    return np.clip(made, 0, 255).astype(np.uint8)


def png_of(image: np.ndarray) -> bytes:
    """A PNG file of (height, width, 3) bytes, without a filter."""
    height, width, _ = image.shape
    lines = b"".join(b"\0" + line.tobytes() for line in image)
    chunks = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def conversations(spec: VisionSpec) -> dict[str, list[dict[str, Any]]]:
    """Messages by name; images are arrays."""
    wide = {"type": "image", "image": image_of(f"{spec.name} wide", 90, 50)}
    high = {"type": "image", "image": image_of(f"{spec.name} high", 23, 61)}
    small = {**high, "detail": "low"}

    def text(words: str) -> dict[str, Any]:
        return {"type": "text", "text": words}

    return {
        "tiles": [{"role": "user", "content": [wide, text("What is to be seen here?")]}],
        "whole": [{"role": "user", "content": [text("This "), small, text(" is what?")]}],
        "two": [
            {"role": "user", "content": [text("First"), high]},
            {"role": "assistant", "content": "Seen."},
            {"role": "user", "content": [wide, text("And now?")]},
        ],
    }
