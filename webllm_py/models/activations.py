"""The buffers that a forward pass works in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from webllm_py.gpu.device import Buffer

__all__ = ["Activations", "padded"]


@dataclass(frozen=True)
class Activations:
    """The buffers that a step works in, besides weights.

    Shapes, float32 unless said: hidden and normed (rows, hidden), q and attended
    (rows, heads * head_dim), gated (rows, intermediate), rows padded to whole blocks of 32;
    partial (rows, heads, splits, head_dim + 4); logits (rows, vocab). ``step``: models/step.py.
    ``rope``: models/rope.py, by ``LayerKind.rope``. ``kv``: one a layer, kernels/kv/pages.wgsl.
    ``kv_rows``: keys and values on their way to "q8" pages, kernels/kv/write_rows.wgsl. ``qkv``:
    q, k and v before their heads are normed. ``projected``: (rows, hidden), what is normed before
    it is added to hidden. ``scores``: (rows, ModelConfig.experts_scored); ``route``:
    kernels/route.wgsl; ``groups``: kernels/group_experts.wgsl. Of experts, gated holds a row for
    each that a row goes to, and so does ``answers``, (rows, experts of a row, hidden);
    ``gated_beside``: (rows, beside_size) of the MLP beside them. ``steering``: what is added to
    hidden after some layers, padded as a row of it. ``weights``: (heads, rows, ``seen_keys``),
    where attention's weights are written to be looked at, if they are. ``images``: map and table of
    rows that come from images, in a chunk that has some (runtime/vision/images.py). ``mixed``:
    (rows, Recurrence.rows), what a layer with a state projects to; ``convolved``: (rows,
    DeltaConfig.channels); ``delta_blocks``: kernels/delta/blocks.wgsl. States are in ``kv``.
    ``partial`` also holds a few rows in 8 bits, kernels/round_rows.wgsl.
    """

    step: Buffer
    rope: Mapping[str, Buffer]
    hidden: Buffer
    normed: Buffer
    q: Buffer
    attended: Buffer
    gated: Buffer
    partial: Buffer
    logits: Buffer
    zeros: Buffer
    kv_rows: Buffer
    qkv: Buffer
    projected: Buffer
    scores: Buffer
    route: Buffer
    groups: Buffer
    answers: Buffer
    gated_beside: Buffer
    mixed: Buffer
    convolved: Buffer
    delta_blocks: Buffer
    kv: Sequence[Buffer]
    steering: Mapping[int, Buffer] = field(default_factory=dict)
    weights: Buffer | None = None
    seen_keys: int = 0
    images: tuple[Buffer, Buffer] | None = None


def padded(length: int) -> int:
    """A row's length in whole blocks of 32."""
    return -(-length // 32) * 32
