"""The buffers of a decoder's intermediate results; several results share one where they may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from webllm_py.gpu.device import Buffer
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.activations import Activations, padded
from webllm_py.models.attention import SPLIT_END
from webllm_py.models.config import ModelConfig
from webllm_py.models.kv_cache import KVFormat, row_bytes
from webllm_py.models.mixture import answers_bytes, expert_groups
from webllm_py.models.recurrence import DeltaConfig
from webllm_py.models.tuning import Tuning

__all__ = ["work_buffers"]


def work_buffers(
    owner: BufferOwner,
    config: ModelConfig,
    tuning: Tuning,
    kv_format: KVFormat,
    chunk: int,
    step: Buffer,
    rope_tables: Mapping[str, bytes],
    kv: Sequence[Buffer],
) -> Activations:
    """The buffers of a model's steps.

    Args:
        chunk: the most rows of a step.
        step: the step buffer, see ``models.step``.
        rope_tables: the bytes of each, by ``LayerKind.rope``; only their sizes count here.
        kv: the cache's buffers, one a layer.
    """
    make = owner.create
    hidden = padded(config.hidden_size)
    heads = padded(config.n_heads * config.head_dim)
    recurrence = config.recurrence
    delta = recurrence if isinstance(recurrence, DeltaConfig) else None
    kept = padded(recurrence.width) if recurrence else 0
    rows = 4 * chunk
    # Each pair shares a buffer: within a layer the first is read for the last time before the
    # second is written. Rows quantized to 8 bits go to the buffer that they do not come from.
    inner = padded(max(config.intermediate_size, config.beside_size))
    normed_or_attended = make(
        "normed or attended", max(rows * max(hidden, heads, kept), eight_bits(inner, chunk))
    )
    experts = config.experts_a_row * padded(config.expert_size)
    widest = max(heads, inner, experts, kept)
    q_or_gated = make("q or gated", rows * widest)
    groups = expert_groups(config, tuning, chunk, chunk)
    answers = answers_bytes(config, groups) if groups else 0
    if answers > owner.device.limits.most_bound:
        answers = 0  # rows are not sorted
    splits = 4 * config.n_heads * tuning.partials * (config.head_dim + SPLIT_END)
    rounded = 2 * min(tuning.few_rows, chunk) * max(hidden, widest)  # kernels/round_rows.wgsl
    return Activations(
        step=step,
        rope={n: make(f"{n} rope table", len(t)) for n, t in rope_tables.items()},
        hidden=make("hidden", rows * hidden),
        normed=normed_or_attended,
        q=q_or_gated,
        attended=normed_or_attended,
        gated=q_or_gated,
        partial=make("attention splits or rounded", max(splits, rounded)),
        logits=make("logits", 4 * config.vocab_size),
        zeros=make("zeros", 16),
        kv_rows=make("kv rows", chunk * row_bytes(config, kv_format)),
        qkv=make("q, k and v", rows * config.qkv_rows if config.qk_norm else 0),
        scores=make("experts' scores", rows * config.experts_scored),
        route=make("experts' route", 2 * rows * config.experts_a_row),
        groups=make("experts' rows", groups.nbytes if groups else 0),
        answers=make("experts' answers", answers),
        gated_beside=make("gated beside experts", rows * padded(config.beside_size)),
        projected=make("projected", rows * hidden if config.post_norm or config.parallel else 0),
        mixed=make("mixed channels", rows * recurrence.rows if recurrence else 0),
        convolved=make("convolved channels", rows * delta.channels if delta else 0),
        delta_blocks=make("blocks of changes", delta.block_bytes(chunk) if delta else 0),
        kv=kv,
    )


def eight_bits(columns: int, rows: int) -> int:
    """Bytes of ``rows`` rows of ``columns`` elements in 8 bits; a scale and sums for every 32."""
    return rows * (columns + 8 * (columns // 32))
