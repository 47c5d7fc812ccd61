"""WebLLM's prebuilt models without their files: shapes that memory can be planned from.

What is planned is what loading the files would take: tensors in their quantization, by the
declaration of the family.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from webllm_py.checkpoint.checkpoint import (
    FORMATS,
    Checkpoint,
    TensorFormat,
    TensorInfo,
    VisionPart,
)
from webllm_py.checkpoint.mlc_format import QUANTIZATIONS
from webllm_py.fetch.prebuilt import Prebuilt
from webllm_py.fetch.source import ByteSource
from webllm_py.models.recurrence import CONV

__all__ = ["architecture_of", "imagined"]

# hidden, intermediate, layers, heads, heads of keys and values, head size, vocabulary, whether the
# output layer is the embedding: of the models' config.json.
TABLE = """
2048 8192 16 32 8 64 128256 tied: Llama-3.2-1B-Instruct
3072 8192 28 24 8 128 128256 tied: Llama-3.2-3B-Instruct Hermes-3-Llama-3.2-3B
4096 14336 32 32 8 128 128256 -: Llama-3.1-8B-Instruct Llama-3-8B-Instruct
4096 14336 32 32 8 128 128256 -: DeepSeek-R1-Distill-Llama-8B Hermes-3-Llama-3.1-8B
4096 14336 32 32 8 128 128288 -: Hermes-2-Theta-Llama-3-8B Hermes-2-Pro-Llama-3-8B
8192 28672 80 64 8 128 128256 -: Llama-3.1-70B-Instruct Llama-3-70B-Instruct
4096 11008 32 32 32 128 32000 -: Llama-2-7b-chat-hf
5120 13824 40 40 40 128 32000 -: Llama-2-13b-chat-hf
2048 5632 22 32 4 64 32000 -: TinyLlama-1.1B-Chat-v1.0
2048 5632 22 32 4 64 32003 -: TinyLlama-1.1B-Chat-v0.4
2048 8192 24 32 32 64 49152 tied: SmolLM2-1.7B-Instruct
960 2560 32 15 5 64 49152 tied: SmolLM2-360M-Instruct
576 1536 30 9 3 64 49152 tied: SmolLM2-135M-Instruct
4096 14336 32 32 8 128 32768 -: Mistral-7B-Instruct-v0.3
4096 14336 32 32 8 128 32000 -: Mistral-7B-Instruct-v0.2
4096 14336 32 32 8 128 32002 -: OpenHermes-2.5-Mistral-7B NeuralHermes-2.5-Mistral-7B
4096 14336 32 32 8 128 32002 -: WizardMath-7B-V1.1
4096 14336 32 32 8 128 32032 -: Hermes-2-Pro-Mistral-7B
3072 9216 26 32 8 128 131072 tied: Ministral-3-3B-Base-2512 Ministral-3-3B-Reasoning-2512
3072 9216 26 32 8 128 131072 tied: Ministral-3-3B-Instruct-2512-BF16
896 4864 24 14 2 64 151936 tied: Qwen2-0.5B-Instruct Qwen2.5-0.5B-Instruct
896 4864 24 14 2 64 151936 tied: Qwen2.5-Coder-0.5B-Instruct
1536 8960 28 12 2 128 151936 tied: Qwen2-1.5B-Instruct Qwen2.5-1.5B-Instruct
1536 8960 28 12 2 128 151936 tied: Qwen2.5-Coder-1.5B-Instruct Qwen2-Math-1.5B-Instruct
1536 8960 28 12 2 128 151936 tied: Qwen2.5-Math-1.5B-Instruct
2048 11008 36 16 2 128 151936 tied: Qwen2.5-3B-Instruct Qwen2.5-Coder-3B-Instruct
3584 18944 28 28 4 128 152064 -: Qwen2-7B-Instruct Qwen2.5-7B-Instruct Qwen2-Math-7B-Instruct
3584 18944 28 28 4 128 152064 -: Qwen2.5-Coder-7B-Instruct DeepSeek-R1-Distill-Qwen-7B
1024 3072 28 16 8 128 151936 tied: Qwen3-0.6B
2048 6144 28 16 8 128 151936 tied: Qwen3-1.7B
2560 9728 36 32 8 128 151936 tied: Qwen3-4B
4096 12288 36 32 8 128 151936 -: Qwen3-8B
1024 3584 24 8 2 256 248320 tied: Qwen3.5-0.8B
2048 6144 24 8 2 256 248320 tied: Qwen3.5-2B
2560 9216 32 16 4 256 248320 tied: Qwen3.5-4B
4096 12288 32 16 4 256 248320 -: Qwen3.5-9B
3072 8192 32 32 32 96 32064 -: Phi-3.5-mini-instruct Phi-3-mini-4k-instruct
3072 8192 32 32 32 96 32064 -: Phi-3.5-vision-instruct
3072 8192 32 24 8 128 200064 tied: Phi-4-mini-instruct
2560 10240 32 32 32 80 51200 -: phi-2
2048 8192 24 32 32 64 51200 -: phi-1_5
2048 16384 18 8 1 256 256000 tied: gemma-2b-it
2304 9216 26 8 4 256 256000 tied: gemma-2-2b-it gemma-2-2b-jpn-it
3584 14336 42 16 8 256 256000 tied: gemma-2-9b-it
1152 6912 26 4 1 256 262144 tied: gemma3-1b-it
4096 11008 32 32 32 128 100352 -: OLMo-2-1124-7B-Instruct
2048 8192 16 16 16 128 100352 -: OLMo-2-0425-1B-Instruct
2048 5632 24 32 32 64 100352 -: stablelm-2-zephyr-1_6b
2560 10240 32 32 32 80 50432 -: RedPajama-INCITE-Chat-3B-v1
768 3072 12 12 12 64 30522 tied: snowflake-arctic-embed-m
384 1536 12 12 12 32 30522 tied: snowflake-arctic-embed-s
"""
ARCHITECTURES = {"phi-msft": "phi", "qwen3_5": "qwen3_5_text"}
LAYER_NORM = ("phi", "stablelm", "gpt_neox", "bert")
NO_GATE = ("phi", "gpt_neox", "bert")
BIASED = ("phi", "gpt_neox", "bert")
BIASED_QKV = ("qwen2", "stablelm", *BIASED)
NORMS_BEHIND = ("gemma2", "gemma3_text", "olmo2")
QWEN35 = "qwen3_5_text"
# Heads of values of its delta nets, by hidden size; there are 16 of keys, each of 128 elements.
DELTA_HEADS = {1024: 16, 2048: 16, 2560: 32, 4096: 32}
KEY_HEADS, DELTA_DIM = 16, 128
# CLIP's ViT-L/14 at 336 pixels: its hidden and intermediate sizes, layers, patches and positions.
CLIP, CLIP_INNER, CLIP_LAYERS, CLIP_PATCH, CLIP_POSITIONS = 1024, 4096, 24, 14, 577
JOINED = 4 * CLIP  # features that become one row of Phi-3.5-vision's text model

Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Shape:
    """A row of the table, for a family."""

    family: str
    tied: bool
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int

    @property
    def config(self) -> dict[str, Any]:
        """config.json, as far as it tells of sizes."""
        return {
            "model_type": self.family,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "tie_word_embeddings": self.tied,
            "linear_num_value_heads": DELTA_HEADS.get(self.hidden),
        }


@cache
def rows() -> Mapping[str, tuple[str, ...]]:
    """The table's numbers by model."""
    found: dict[str, tuple[str, ...]] = {}
    for line in TABLE.strip().splitlines():
        numbers, _, models = line.partition(": ")
        found |= dict.fromkeys(models.split(), tuple(numbers.split()))
    return found


def architecture_of(record: Prebuilt) -> str:
    """Its family, as ``Checkpoint.architecture`` has it."""
    return ARCHITECTURES.get(record.family, record.family)


def imagined(record: Prebuilt) -> Checkpoint | None:
    """A checkpoint of a prebuilt model's sizes, whose tensors lie nowhere.

    None where the table does not tell them.
    """
    base = record.repository.removeprefix("mlc-ai/").removesuffix(f"-{record.quantization}-MLC")
    if base not in rows():
        return None
    *numbers, tied = rows()[base]
    family = architecture_of(record)
    shape = Shape(family, tied == "tied", *map(int, numbers))
    tensors = {
        name: tensor(name, size, record.quantization) for name, size in shapes_of(shape, record)
    }
    return Checkpoint(
        kind="mlc",
        name=record.id,
        architecture=family,
        metadata={**shape.config, "max_position_embeddings": record.context},
        tensors=tensors,
        vision=vision_part(shape, record) if family == "phi3_v" else None,
    )


def vision_part(s: Shape, record: Prebuilt) -> VisionPart:
    """What Phi-3.5-vision sees with."""
    tensors = {
        name: tensor(name, shape, record.quantization) for name, shape in clip_shapes(s.hidden)
    }
    return VisionPart("mlc", s.family, {}, tensors, {})


def clip_shapes(text_hidden: int) -> Shapes:
    """The tensors of a vision tower and of its projector: llama.cpp's names, and shapes."""
    yield "v.patch_embd.weight", (CLIP, 3, CLIP_PATCH, CLIP_PATCH)
    yield "v.class_embd.weight", (CLIP,)
    yield "v.position_embd.weight", (CLIP_POSITIONS, CLIP)
    matrices = {f"attn_{name}": (CLIP, CLIP) for name in ("q", "k", "v", "out")}
    matrices |= {"ffn_up": (CLIP_INNER, CLIP), "ffn_down": (CLIP, CLIP_INNER)}
    layers = {f"v.blk.{i}.{n}": size for i in range(CLIP_LAYERS) for n, size in matrices.items()}
    joints = {"mm.0": (text_hidden, JOINED), "mm.2": (text_hidden, text_hidden)}
    for name, size in (layers | joints).items():
        yield f"{name}.weight", size
        yield f"{name}.bias", size[:1]
    for name in ("v.pre_ln", *(f"v.blk.{i}.ln{n}" for i in range(CLIP_LAYERS) for n in (1, 2))):
        for kind in ("weight", "bias"):
            yield f"{name}.{kind}", (CLIP,)
    for name in ("v.sub_gn", "v.glb_gn"):
        yield name, (JOINED,)


def tensor(name: str, shape: tuple[int, ...], quantization: str) -> TensorInfo:
    """A tensor as a folder of this quantization has it."""
    nowhere = cast(ByteSource, None)
    floats = FORMATS["F16" if quantization[2:5] == "f16" else "BF16"]
    bits = QUANTIZATIONS[quantization]
    if not bits.bits or len(shape) != 2:
        return TensorInfo(name, shape, floats, nowhere, 0, floats.nbytes(math.prod(shape)))
    format = cast(TensorFormat, bits.format_of(floats.name, by_columns=False))
    groups = shape[0] * format.blocks(shape[1])
    scales = TensorInfo(
        name, (shape[0], format.blocks(shape[1])), floats, nowhere, 0, groups * floats.block_bytes
    )
    codes = groups * format.block_bytes
    return TensorInfo(name, shape, format, nowhere, 0, codes, {"scales": scales})


def shapes_of(s: Shape, record: Prebuilt) -> Shapes:
    """Names, as GGUF has them, and shapes of all tensors."""
    yield "token_embd.weight", (s.vocab, s.hidden)
    if s.family == "bert":
        yield "position_embd.weight", (record.context, s.hidden)
        yield "token_types.weight", (2, s.hidden)
        yield from norm(s, "token_embd_norm")
    else:
        yield from norm(s, "output_norm")
    if not s.tied:
        yield "output.weight", (s.vocab, s.hidden)
    for i in range(s.layers):
        is_delta = s.family == QWEN35 and (i + 1) % 4
        mixed = delta_net(s) if is_delta else [*attention(s), *head_norms(s)]
        for name, shape in (*mixed, *mlp(s), *norms(s)):
            yield f"blk.{i}.{name}", shape


def attention(s: Shape) -> Shapes:
    """Matrices of a layer's attention, and their biases."""
    attended = s.heads * s.head_dim
    gates = attended if s.family == QWEN35 else 0
    rows = attended + gates + 2 * s.kv_heads * s.head_dim
    yield from matrix(s, "attn_qkv", rows, s.hidden)
    yield from matrix(s, "attn_output", s.hidden, attended)


def delta_net(s: Shape) -> Shapes:
    """All of a gated delta net."""
    heads = DELTA_HEADS[s.hidden]
    values = heads * DELTA_DIM
    channels = 2 * KEY_HEADS * DELTA_DIM + values
    yield "attn_qkv.weight", (channels, s.hidden)
    yield "attn_gate.weight", (values, s.hidden)
    yield "ssm_alpha.weight", (heads, s.hidden)
    yield "ssm_beta.weight", (heads, s.hidden)
    yield "ssm_out.weight", (s.hidden, values)
    yield "ssm_conv1d.weight", (channels * CONV,)
    yield "ssm_a", (heads,)
    yield "ssm_dt.bias", (heads,)
    yield "ssm_norm.weight", (DELTA_DIM,)


def mlp(s: Shape) -> Shapes:
    """Matrices of a layer's MLP, and their biases."""
    gates = 1 if s.family in NO_GATE else 2
    yield from matrix(s, "ffn_up", gates * s.intermediate, s.hidden)
    yield from matrix(s, "ffn_down", s.hidden, s.intermediate)


def matrix(s: Shape, name: str, rows: int, columns: int) -> Shapes:
    """A matrix, and its bias."""
    yield f"{name}.weight", (rows, columns)
    if s.family in (BIASED_QKV if name == "attn_qkv" else BIASED):
        yield f"{name}.bias", (rows,)


def norms(s: Shape) -> Shapes:
    """The norms of a layer."""
    if s.family == "bert":
        names = ["attn_output_norm", "layer_output_norm"]
    else:
        names = [] if s.family == "olmo2" else ["attn_norm"]
        names += [] if s.family in ("olmo2", "phi") else ["ffn_norm"]
        names += ["post_attention_norm", "post_ffw_norm"] if s.family in NORMS_BEHIND else []
    for name in names:
        yield from norm(s, name)


def head_norms(s: Shape) -> Shapes:
    """The norms of a layer's queries and keys."""
    if s.family in ("qwen3", QWEN35, "gemma3_text", "olmo2"):
        heads = (s.heads, s.kv_heads) if s.family == "olmo2" else (1, 1)
        for name, count in zip(("attn_q_norm", "attn_k_norm"), heads, strict=True):
            yield f"{name}.weight", (count * s.head_dim,)


def norm(s: Shape, name: str) -> Shapes:
    """A norm of hidden rows."""
    for kind in ("weight", "bias") if s.family in LAYER_NORM else ("weight",):
        yield f"{name}.{kind}", (s.hidden,)
