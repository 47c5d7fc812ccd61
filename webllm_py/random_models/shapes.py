"""The sizes of models that random weights can be made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["SHAPES", "Shape"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model's hyper-parameters, as its own config.json has them.

    Attributes:
        tied: whether the embedding table is the output layer as well.
        delta_heads: heads of values of the gated delta nets that three of four layers are; none.
        attends: the layers that have attention, where others are gated short convolutions.
        experts, experts_used, expert_ffn: of the mixture in the place of each layer's MLP, if any:
            how many, how many a token goes to, how wide they are.
        shared_ffn: how wide the MLP beside them is, if there is one.
    """

    architecture: str
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    rope_theta: float
    context: int
    delta_heads: int = 0
    attends: tuple[int, ...] = ()
    experts: int = 0
    experts_used: int = 0
    expert_ffn: int = 0
    shared_ffn: int = 0

    def norm_of(self, heads: int) -> int:
        """Elements of the norm of so many heads of queries or keys; 0 for none."""
        if self.architecture == "olmoe":
            return heads * self.head_dim
        return self.head_dim if self.architecture in ("qwen35", "qwen3moe", "lfm2") else 0


def qwen35(layers: int, hidden: int, ffn: int, heads: int, delta_heads: int) -> Shape:
    """A model of the Qwen3.5 series."""
    return Shape(
        architecture="qwen35", layers=layers, hidden=hidden, ffn=ffn, heads=heads,
        kv_heads=heads // 4, head_dim=256, vocab=248320, tied=True, rope_theta=1e7,
        context=262144, delta_heads=delta_heads,
    )  # fmt: skip


def lfm2(layers: int, hidden: int, ffn: int, heads: int, attends: tuple[int, ...]) -> Shape:
    """A model of the LFM2 series."""
    return Shape(
        architecture="lfm2", layers=layers, hidden=hidden, ffn=ffn, heads=heads, kv_heads=8,
        head_dim=64, vocab=65536, tied=True, rope_theta=1e6, context=128000, attends=attends,
    )  # fmt: skip


def qwen2(
    layers: int, hidden: int, ffn: int, heads: int, kv_heads: int, *, vocab: int = 151936,
    tied: bool = True,
) -> Shape:  # fmt: skip
    """A model of the Qwen2.5 series."""
    return Shape(
        architecture="qwen2", layers=layers, hidden=hidden, ffn=ffn, heads=heads,
        kv_heads=kv_heads, head_dim=hidden // heads, vocab=vocab, tied=tied, rope_theta=1e6,
        context=32768,
    )  # fmt: skip


def llama3(
    layers: int, hidden: int, ffn: int, heads: int, *, head_dim: int = 128, tied: bool = True
) -> Shape:
    """A model of the Llama 3 series."""
    return Shape(
        architecture="llama", layers=layers, hidden=hidden, ffn=ffn, heads=heads, kv_heads=8,
        head_dim=head_dim, vocab=128256, tied=tied, rope_theta=5e5, context=131072,
    )  # fmt: skip


def granitemoe(layers: int, hidden: int, heads: int, experts: int) -> Shape:
    """A mixture of the Granite 3.1 series."""
    return Shape(
        architecture="granitemoe", layers=layers, hidden=hidden, ffn=512, heads=heads, kv_heads=8,
        head_dim=64, vocab=49155, tied=True, rope_theta=1e7, context=131072, experts=experts,
        experts_used=8, expert_ffn=512,
    )  # fmt: skip


SHAPES: Mapping[str, Shape] = {
    "tiny": Shape(
        architecture="qwen2", layers=2, hidden=128, ffn=352, heads=4, kv_heads=2, head_dim=32,
        vocab=1024, tied=True, rope_theta=1e4, context=4096,
    ),
    "tiny-experts": Shape(
        architecture="qwen3moe", layers=2, hidden=128, ffn=384, heads=4, kv_heads=2, head_dim=32,
        vocab=1024, tied=True, rope_theta=1e4, context=4096, experts=16, experts_used=4,
        expert_ffn=96,
    ),
    "tiny-convolutions": Shape(
        architecture="lfm2", layers=3, hidden=128, ffn=352, heads=4, kv_heads=2, head_dim=32,
        vocab=1024, tied=True, rope_theta=1e4, context=4096, attends=(1,),
    ),
    "pocket": Shape(
        architecture="llama", layers=8, hidden=256, ffn=480, heads=4, kv_heads=2, head_dim=64,
        vocab=2048, tied=True, rope_theta=1e4, context=2048,
    ),
    "qwen2.5-0.5b": qwen2(24, 896, 4864, 14, 2),
    "qwen2.5-1.5b": qwen2(28, 1536, 8960, 12, 2),
    "qwen2.5-7b": qwen2(28, 3584, 18944, 28, 4, vocab=152064, tied=False),
    "qwen3.5-0.8b": qwen35(24, 1024, 3584, 8, 16),
    "qwen3.5-4b": qwen35(32, 2560, 9216, 16, 32),
    "lfm2-350m": lfm2(16, 1024, 4608, 16, (2, 5, 8, 10, 12, 14)),
    "lfm2-1.2b": lfm2(16, 2048, 8192, 32, (2, 5, 8, 10, 12, 14)),
    "qwen1.5-moe-a2.7b": Shape(
        architecture="qwen2moe", layers=24, hidden=2048, ffn=5632, heads=16, kv_heads=16,
        head_dim=128, vocab=151936, tied=False, rope_theta=1e6, context=8192, experts=60,
        experts_used=4, expert_ffn=1408, shared_ffn=5632,
    ),
    "qwen3-30b-a3b": Shape(
        architecture="qwen3moe", layers=48, hidden=2048, ffn=6144, heads=32, kv_heads=4,
        head_dim=128, vocab=151936, tied=False, rope_theta=1e6, context=40960, experts=128,
        experts_used=8, expert_ffn=768,
    ),
    "olmoe-1b-7b": Shape(
        architecture="olmoe", layers=16, hidden=2048, ffn=1024, heads=16, kv_heads=16,
        head_dim=128, vocab=50304, tied=False, rope_theta=1e4, context=4096, experts=64,
        experts_used=8, expert_ffn=1024,
    ),
    "granite-3.1-1b-a400m": granitemoe(24, 1024, 16, 32),
    "granite-3.1-3b-a800m": granitemoe(32, 1536, 24, 40),
    "llama-3.2-1b": llama3(16, 2048, 8192, 32, head_dim=64),
    "llama-3.2-3b": llama3(28, 3072, 8192, 24),
    "llama-3.1-8b": llama3(32, 4096, 14336, 32, tied=False),
}  # fmt: skip
