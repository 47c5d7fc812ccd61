"""GGUF files of random weights. No numpy is needed.

The file repeats one pool of random blocks. Speed does not depend on the values; they only have to
keep activations finite, as trained weights do.
"""

from __future__ import annotations

import math
from array import array
from functools import cache
from itertools import count
from pathlib import Path

from webllm_py.checkpoint.gguf_format import ValueType
from webllm_py.checkpoint.gguf_writer import GGUFWriter
from webllm_py.random_models.blocks import Pool
from webllm_py.random_models.recipes import format_of
from webllm_py.random_models.shapes import Shape
from webllm_py.random_models.vocabulary import made_tokens

__all__ = ["write_random_model"]

# Of Qwen3.5's delta nets, and how often there is an attention instead.
KEY_HEADS, DELTA_DIM, INTERVAL = 16, 128, 4
SHORT_CONV = 3  # positions that LFM2's convolutions see
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3  # token types of the GGUF specification


def write_random_model(path: Path, name: str, shape: Shape, format: str) -> None:
    """Write a model file; a file of that name appears only when it is whole.

    Args:
        name: the model's own (general.name).
        format: of the matrices: one of ``recipes.FORMATS``.

    Raises:
        OSError: it cannot be written.
    """
    writer = GGUFWriter()
    add_sizes(writer, name, shape)
    add_tokenizer(writer, shape.vocab)
    add_tensors(writer, shape, format)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            writer.write(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def add_sizes(writer: GGUFWriter, name: str, shape: Shape) -> None:
    """The keys that every model has."""
    writer.add("general.architecture", shape.architecture)
    writer.add("general.name", name)
    sizes: dict[str, float | list[int]] = {
        "block_count": shape.layers,
        "context_length": shape.context,
        "embedding_length": shape.hidden,
        "feed_forward_length": shape.ffn,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "attention.key_length": shape.head_dim,
        "attention.value_length": shape.head_dim,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": shape.head_dim,
        "rope.freq_base": shape.rope_theta,
    }
    if shape.delta_heads:
        sizes |= {
            "rope.dimension_count": shape.head_dim // 4,
            "ssm.conv_kernel": 4,
            "ssm.state_size": DELTA_DIM,
            "ssm.group_count": KEY_HEADS,
            "ssm.time_step_rank": shape.delta_heads,
            "ssm.inner_size": shape.delta_heads * DELTA_DIM,
            "full_attention_interval": INTERVAL,
        }
    if shape.attends:
        heads = [shape.kv_heads if i in shape.attends else 0 for i in range(shape.layers)]
        sizes |= {"attention.head_count_kv": heads, "shortconv.l_cache": SHORT_CONV}
    if shape.experts:
        sizes |= {
            "expert_count": shape.experts,
            "expert_used_count": shape.experts_used,
            "expert_feed_forward_length": shape.expert_ffn,
        }
    if shape.shared_ffn:
        sizes["expert_shared_feed_forward_length"] = shape.shared_ffn
    for key, value in sizes.items():
        writer.add(f"{shape.architecture}.{key}", value)


def add_tokenizer(writer: GGUFWriter, vocab: int) -> None:
    """Byte-level BPE without merges: a token a byte, one that ends a text, and made ones, which no
    text is encoded as, but which are drawn."""
    characters = byte_characters()
    tokens = [*characters, "<|endoftext|>"]
    made = made_tokens(vocab - len(tokens))
    tokens += ["".join(map(characters.__getitem__, text)) for text in made]
    kinds = [NORMAL_TOKEN] * 256 + [CONTROL_TOKEN] + [NORMAL_TOKEN] * len(made)
    writer.add("tokenizer.ggml.model", "gpt2")
    writer.add("tokenizer.ggml.pre", "gpt-2")
    writer.add("tokenizer.ggml.tokens", tokens)
    writer.add("tokenizer.ggml.token_type", kinds, ValueType.INT32)
    writer.add("tokenizer.ggml.merges", [], ValueType.STRING)
    writer.add("tokenizer.ggml.eos_token_id", 256)


def byte_characters() -> list[str]:
    """GPT-2's character for each byte: itself where it is visible, else one from 256 on."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = count(256)
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


def add_tensors(writer: GGUFWriter, shape: Shape, format: str) -> None:
    """Every tensor of the architecture; matrices random, norms 1, biases 0."""
    tensors = Tensors(writer, shape, format)
    # Logits spread as a trained model's do: sampling works on a few hundred likely tokens.
    tensors.matrix("token_embd", shape.vocab, shape.hidden, gain=3.0)
    for i in range(shape.layers):
        tensors.layer(i)
    norm = "token_embd_norm" if shape.attends else "output_norm"  # as llama.cpp calls it
    tensors.vector(f"{norm}.weight", shape.hidden, 1.0)
    if not shape.tied:
        tensors.matrix("output", shape.vocab, shape.hidden, gain=3.0)


class Tensors:
    """Adds tensors of a shape to a file."""

    def __init__(self, writer: GGUFWriter, shape: Shape, format: str):
        self.writer, self.shape, self.format = writer, shape, format
        self.pool_of = cache(Pool)

    def matrix(self, name: str, *sizes: int, gain: float = 1.0) -> None:
        """One, or several of them, that are as large."""
        *rows, columns = sizes
        shape = self.shape
        stored = format_of(self.format, name, columns, shape.layers, tied=shape.tied)
        data = self.pool_of(stored).data(math.prod(rows), columns, gain)
        self.writer.add_tensor(f"{name}.weight", sizes, stored, data)

    def vector(self, name: str, length: int, value: float) -> None:
        """One of a single value."""
        self.filled(name, (length,), value)

    def filled(self, name: str, sizes: tuple[int, ...], value: float) -> None:
        """A float32 tensor of a single value."""
        data = [array("f", [value]).tobytes() * math.prod(sizes)]
        self.writer.add_tensor(name, sizes, "F32", data)

    def layer(self, index: int) -> None:
        """Attention or what keeps a state, then an MLP or a mixture."""
        shape, name = self.shape, f"blk.{index}"
        self.vector(f"{name}.attn_norm.weight", shape.hidden, 1.0)
        if shape.delta_heads and (index + 1) % INTERVAL:
            self.delta_net(name)
        elif shape.attends and index not in shape.attends:
            self.short_conv(name)
        else:
            self.attention(name)
        behind = "post_attention_norm" if shape.delta_heads else "ffn_norm"
        self.vector(f"{name}.{behind}.weight", shape.hidden, 1.0)
        if shape.experts:
            self.mixture(name)
        else:
            self.mlp(name, shape.ffn)

    def attention(self, layer: str) -> None:
        """With gates where other layers are delta nets."""
        shape = self.shape
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        gates = queries if shape.delta_heads else 0
        for part, rows in (("q", queries + gates), ("k", keys), ("v", keys)):
            self.matrix(f"{layer}.attn_{part}", rows, shape.hidden)
            if shape.architecture in ("qwen2", "qwen2moe"):
                self.vector(f"{layer}.attn_{part}.bias", rows, 0.0)
        for part, heads in (("q", shape.heads), ("k", shape.kv_heads)):
            if length := shape.norm_of(heads):
                self.vector(f"{layer}.attn_{part}_norm.weight", length, 1.0)
        self.matrix(f"{layer}.attn_output", shape.hidden, queries)

    def delta_net(self, layer: str) -> None:
        """See models/delta.py."""
        hidden, heads = self.shape.hidden, self.shape.delta_heads
        values = heads * DELTA_DIM
        channels = 2 * KEY_HEADS * DELTA_DIM + values
        self.matrix(f"{layer}.attn_qkv", channels, hidden)
        self.matrix(f"{layer}.attn_gate", values, hidden)
        self.matrix(f"{layer}.ssm_alpha", heads, hidden)
        self.matrix(f"{layer}.ssm_beta", heads, hidden)
        self.matrix(f"{layer}.ssm_out", hidden, values)
        self.filled(f"{layer}.ssm_conv1d.weight", (channels, 4), 0.5)
        self.vector(f"{layer}.ssm_a", heads, -0.1)
        self.vector(f"{layer}.ssm_dt.bias", heads, 0.0)
        self.vector(f"{layer}.ssm_norm.weight", DELTA_DIM, 1.0)

    def short_conv(self, layer: str) -> None:
        """See models/short_conv.py."""
        hidden = self.shape.hidden
        self.matrix(f"{layer}.shortconv.in_proj", 3 * hidden, hidden)
        self.matrix(f"{layer}.shortconv.out_proj", hidden, hidden)
        self.filled(f"{layer}.shortconv.conv.weight", (hidden, SHORT_CONV), 0.5)

    def mlp(self, layer: str, width: int, suffix: str = "") -> None:
        """A gated one."""
        hidden = self.shape.hidden
        self.matrix(f"{layer}.ffn_gate{suffix}", width, hidden)
        self.matrix(f"{layer}.ffn_up{suffix}", width, hidden)
        self.matrix(f"{layer}.ffn_down{suffix}", hidden, width)

    def mixture(self, layer: str) -> None:
        """What chooses experts is never quantized; and theirs."""
        shape = self.shape
        hidden, experts, width = shape.hidden, shape.experts, shape.expert_ffn
        router = self.pool_of("F16").data(experts, hidden, 1.0)
        self.writer.add_tensor(f"{layer}.ffn_gate_inp.weight", (experts, hidden), "F16", router)
        self.matrix(f"{layer}.ffn_gate_exps", experts, width, hidden)
        self.matrix(f"{layer}.ffn_up_exps", experts, width, hidden)
        self.matrix(f"{layer}.ffn_down_exps", experts, hidden, width)
        if shape.shared_ffn:
            self.vector(f"{layer}.ffn_gate_inp_shexp.weight", hidden, 0.01)
            self.mlp(layer, shape.shared_ffn, "_shexp")
