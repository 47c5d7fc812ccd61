"""Models that see, with made-up weights, as folders; conversations with made-up images.

A token is a byte, or one of the special ones. As in ``made_models``, nothing need be kept.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
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
    "tower_weights",
    "vision_weights",
    "whole_config",
    "with_special",
    "write_projector",
    "write_seeing",
    "write_text_gguf",
    "write_tower",
]

FIXTURE = Path(__file__).parents[1] / "fixtures" / "vision.npz"
GRID = 4  # most tiles along a side
SPECIAL = (
    *("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, GRID + 1) for column in range(1, GRID + 1)),
)
FIRST_SPECIAL = 258
IMAGE_TOKEN = FIRST_SPECIAL
TOWER = "model.vision_model"
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
        VisionSpec("smolvlm", "smolvlm", 66, 8, 72, 100, 3, 4, 192, text_spec("smolvlm", 283, 96)),
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
    return with_special(SPECIAL)


def with_special(special: Sequence[str]) -> dict[str, Any]:
    """tokenizer.json: bytes, and these tokens."""
    made = tokenizer_json()
    flags = {key: value for key, value in made["added_tokens"][0].items() if key == "special"}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    made["added_tokens"] += [
        {"id": FIRST_SPECIAL + i, "content": text, **plain, **flags}
        for i, text in enumerate(special)
    ]
    for step in ("pre_tokenizer", "decoder"):
        made[step] = {**made[step], "trim_offsets": True}  # which the tokenizers package wants
    return made


def vision_weights(spec: VisionSpec) -> Weights:
    """All tensors, by Hugging Face's names."""
    weights = tower_weights(spec.name, TOWER, whole_config(spec)["vision_config"])
    joined = spec.merge**2 * spec.hidden
    projection = "model.connector.modality_projection.proj"
    weights[f"{projection}.weight"] = matrix(f"{spec.name} {projection}", spec.text.hidden, joined)
    for name, weight in weights_of(spec.text).items():
        inner = (
            name.replace("model.", "model.text_model.", 1) if name.startswith("model.") else name
        )
        weights[inner] = weight
    return weights


def matrix(name: str, rows: int, columns: int, gain: float = 1.0) -> np.ndarray:
    """A matrix that leaves a row's variance as it is, times ``gain``."""
    return noise(name, rows, columns) * np.float32(gain / columns**0.5)


def tower_weights(name: str, tower: str, config: Mapping[str, Any]) -> Weights:
    """The tensors of SigLIP's tower.

    Args:
        name: the model's.
        tower: what their names begin with.
        config: vision_config.
    """
    weights, hidden = Weights(), config["hidden_size"]

    def dense(stem: str, rows: int, columns: int, gain: float = 1.0) -> None:
        weights[f"{stem}.weight"] = matrix(f"{name} {stem}", rows, columns, gain)
        weights[f"{stem}.bias"] = small_steps(f"{name} {stem} bias", rows, 0.2)

    def norm(stem: str) -> None:
        weights[f"{stem}.weight"] = 1 + small_steps(f"{name} {stem} weight", hidden, 0.2)
        weights[f"{stem}.bias"] = small_steps(f"{name} {stem} bias", hidden, 0.2)

    patch, side = f"{tower}.embeddings.patch_embedding", config["patch_size"]
    dense(patch, hidden, 3 * side**2)
    weights[f"{patch}.weight"] = weights[f"{patch}.weight"].reshape(hidden, 3, side, side)
    positions = f"{tower}.embeddings.position_embedding"
    count = (config["image_size"] // side) ** 2
    weights[f"{positions}.weight"] = matrix(f"{name} {positions}", count, hidden, hidden**0.5)
    for i in range(config["num_hidden_layers"]):
        layer = f"{tower}.encoder.layers.{i}"
        norm(f"{layer}.layer_norm1")
        for part, gain in (("q", 1.7), ("k", 1.7), ("v", 1.0), ("out", 1.0)):
            dense(f"{layer}.self_attn.{part}_proj", hidden, hidden, gain)
        norm(f"{layer}.layer_norm2")
        dense(f"{layer}.mlp.fc1", config["intermediate_size"], hidden)
        dense(f"{layer}.mlp.fc2", hidden, config["intermediate_size"])
    norm(f"{tower}.post_layernorm")
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
    "embeddings.patch_embedding": "v.patch_embd",
    "embeddings.position_embedding": "v.position_embd",
    "encoder.layers": "v.blk",
    "post_layernorm": "v.post_ln",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}


def write_projector(path: Path, spec: VisionSpec, *, swapped: bool = False) -> Path:
    """llama.cpp's projector file; returns its path.

    Args:
        swapped: call the MLP's layers as older files do.
    """
    weights = {
        name: weight
        for name, weight in vision_weights(spec).items()
        if not name.startswith(("model.text_model.", "lm_head."))
    }
    numbers = {"preproc_image_size": spec.longest, "projector.scale_factor": spec.merge}
    names = {"model.connector.modality_projection.proj": "mm.model.fc"}
    if swapped:
        names |= {"mlp.fc1": "ffn_down", "mlp.fc2": "ffn_up"}
    config = whole_config(spec)["vision_config"]
    return write_tower(path, "idefics3", TOWER, config, weights, numbers, names)


def write_tower(
    path: Path,
    kind: str,
    tower: str,
    config: Mapping[str, Any],
    weights: Weights,
    numbers: Mapping[str, Any],
    names: Mapping[str, str],
) -> Path:
    """A projector file; returns its path.

    Args:
        kind: of the projector.
        tower: what names of the tower's tensors begin with.
        config: vision_config.
        weights: all of them, by Hugging Face's names.
        numbers: more keys below "clip.vision.".
        names: parts of names, before those that all towers have.
    """
    vision = {
        "image_size": config["image_size"],
        "patch_size": config["patch_size"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "block_count": config["num_hidden_layers"],
        "attention.head_count": config["num_attention_heads"],
        "attention.layer_norm_epsilon": 1e-6,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        **numbers,
    }
    writer = GGUFWriter()
    writer.add("general.architecture", "clip")
    writer.add("general.type", "mmproj")
    writer.add("clip.projector_type", kind)
    writer.add("clip.use_gelu", True)
    for key, value in vision.items():
        writer.add(f"clip.vision.{key}", value)
    for name, weight in weights.items():
        name = name.removeprefix(f"{tower}.")
        for old, new in {**names, **GGUF_NAMES}.items():
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
