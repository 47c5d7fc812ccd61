"""The pocket model in PyTorch: Llama as GGUF has it (RoPE on neighbouring pairs, tied embeddings).

Names of parameters are the names of GGUF's tensors, so that exporting and loading need no table.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from demo.pocket.metadata import Config

__all__ = ["Mask", "Pocket", "dense_mask"]


Mask = Tensor | BlockMask
"""Who may look at whom: a boolean tensor (batch, 1, length, length), or a block mask."""


def dense_mask(documents: Tensor) -> Tensor:
    """Causal, and only inside of the same document; ``documents`` is (batch, length) of numbers."""
    length = documents.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    return (causal & (documents[:, :, None] == documents[:, None, :]))[:, None]


class RMSNorm(nn.Module):
    """x / rms(x) * weight (Zhang and Sennrich, 2019), computed in float32."""

    def __init__(self, dim: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self._epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self._epsilon)
        return (wide * scale * self.weight).to(x.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE (Su et al., 2021) on neighbouring pairs; x is (batch, heads, length, head_dim)."""
    even, odd = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1)
    return turned.flatten(-2).to(x.dtype)


class Block(nn.Module):
    """One layer: attention with grouped queries, then SwiGLU, each behind a norm."""

    def __init__(self, config: Config):
        super().__init__()
        c, linear = config, self._linear
        self._heads, self._kv_heads = c.heads, c.kv_heads
        self.attn_norm = RMSNorm(c.dim, c.epsilon)
        self.attn_q = linear(c.dim, c.heads * c.head_dim)
        self.attn_k = linear(c.dim, c.kv_heads * c.head_dim)
        self.attn_v = linear(c.dim, c.kv_heads * c.head_dim)
        self.attn_output = linear(c.heads * c.head_dim, c.dim, 2 * c.layers)
        self.ffn_norm = RMSNorm(c.dim, c.epsilon)
        self.ffn_gate = linear(c.dim, c.ffn)
        self.ffn_up = linear(c.dim, c.ffn)
        self.ffn_down = linear(c.ffn, c.dim, 2 * c.layers)

    @staticmethod
    def _linear(inputs: int, outputs: int, residual_adds: int = 1) -> nn.Linear:
        layer = nn.Linear(inputs, outputs, bias=False)
        nn.init.normal_(layer.weight, std=0.04 / residual_adds**0.5)
        return layer

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Mask) -> Tensor:
        """x is (batch, length, dim)."""
        h = self.attn_norm(x)
        q = _rotate(self._split(self.attn_q(h), self._heads), cos, sin)
        k = _rotate(self._split(self.attn_k(h), self._kv_heads), cos, sin)
        v = self._split(self.attn_v(h), self._kv_heads)
        if isinstance(mask, BlockMask):
            mixed = flex_attention(q, k, v, block_mask=mask, enable_gqa=True)
        else:
            mixed = functional.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, enable_gqa=True
            )
        x = x + self.attn_output(mixed.transpose(1, 2).flatten(2))
        h = self.ffn_norm(x)
        gated: Tensor = functional.silu(self.ffn_gate(h)) * self.ffn_up(h)
        return x + cast(Tensor, self.ffn_down(gated))

    @staticmethod
    def _split(x: Tensor, heads: int) -> Tensor:
        return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)


class Pocket(nn.Module):
    """Tokens to hidden states, and hidden states to logits."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.token_embd = nn.Embedding(config.vocab, config.dim)
        nn.init.normal_(self.token_embd.weight, std=0.04)
        self.blk = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.output_norm = RMSNorm(config.dim, config.epsilon)
        pairs = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
        angles = torch.arange(config.context)[:, None] * config.rope_base**-pairs
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def hidden(self, tokens: Tensor, mask: Mask) -> Tensor:
        """(batch, length) ids to (batch, length, dim)."""
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x: Tensor = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, cos, sin, mask)
        return cast(Tensor, self.output_norm(x))

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of all tokens, by the same matrix as the embedding."""
        return functional.linear(hidden, self.token_embd.weight)
