"""The sampler's side of a step: its buffers, its two kernels, and a request's settings as words."""

from __future__ import annotations

import secrets
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.step import ROWS_AT
from webllm_py.models.tuning import Tuning
from webllm_py.runtime.settings import SamplingSettings

__all__ = ["RING", "Sampler"]

RING = 1024
"""Drawn tokens that the GPU remembers; more are never in flight."""
IN_PROMPT = 1 << 31
PENALTIES, BIAS, UNCUT = 1, 2, 4
# Enough tokens a workgroup that its reduction is worth it, few enough to fill the GPU.
ITEMS = 4


@dataclass(frozen=True)
class SamplerBuffers:
    """What the sampling kernels bind besides logits and step; see kernels/sample_*.wgsl."""

    settings: Buffer
    counts: Buffer
    bias: Buffer
    scaled: Buffer
    winners: Buffer
    candidates: Buffer
    ring: Buffer


class Sampler:
    """Draws tokens on the GPU, one request after the other."""

    def __init__(self, device: Device, owner: BufferOwner, vocab_size: int, tuning: Tuning):
        self.device = device
        self.vocab_size = vocab_size
        self._threads = tuning.reduce_threads
        self._groups = -(-vocab_size // (ITEMS * self._threads))
        self.buffers = SamplerBuffers(
            settings=owner.create("sampler settings", 48),
            counts=owner.create("token counts", 4 * vocab_size),
            bias=owner.create("logit bias", 4 * vocab_size),
            scaled=owner.create("scaled logits", 4 * vocab_size),
            winners=owner.create("winners", 8 * self._groups),
            candidates=owner.create("candidates", 8 * vocab_size),
            ring=owner.create("drawn tokens", 4 * RING),
        )

    def begin(self, settings: SamplingSettings, prompt: Sequence[int]) -> None:
        """Set the sampler up for a request."""
        flags = 0
        if (
            settings.repetition_penalty != 1
            or settings.frequency_penalty
            or settings.presence_penalty
        ):
            flags |= PENALTIES
            self._count(prompt)
        if settings.logit_bias:
            flags |= BIAS
            bias = array("f", bytes(4 * self.vocab_size))
            for token, value in settings.logit_bias.items():
                bias[token] = value
            self.device.write(self.buffers.bias, 0, bias.tobytes())
        cut = 0 < settings.top_k < self.vocab_size or settings.top_p < 1 or settings.min_p > 0
        if not cut and not settings.greedy:
            flags |= UNCUT
        self.device.write(self.buffers.settings, 0, packed(settings, flags))

    def _count(self, prompt: Sequence[int]) -> None:
        counts = array("I", bytes(4 * self.vocab_size))
        for token in prompt:
            counts[token] = IN_PROMPT
        self.device.write(self.buffers.counts, 0, counts.tobytes())

    def dispatches(self, logits: Buffer, step: Buffer) -> list[Dispatch]:
        """Draw from row 0 of ``logits`` and advance ``step``."""
        snippets = {"best": "sample/best", "gumbel": "sample/gumbel"}
        b = self.buffers
        return [
            Dispatch(
                kernel(
                    "sample_prepare",
                    snippets=snippets,
                    VOCAB=self.vocab_size,
                    ITEMS=ITEMS,
                    THREADS=self._threads,
                    STEP_ROWS=ROWS_AT,
                ),
                {
                    "logits": logits,
                    "settings": b.settings,
                    "counts": b.counts,
                    "bias": b.bias,
                    "scaled": b.scaled,
                    "winners": b.winners,
                    "step": step,
                },
                (self._groups, 1, 1),
            ),
            Dispatch(
                kernel(
                    "sample_select",
                    snippets=snippets,
                    VOCAB=self.vocab_size,
                    WINNERS=self._groups,
                    RING=RING,
                    STEP_ROWS=ROWS_AT,
                ),
                {
                    "scaled": b.scaled,
                    "settings": b.settings,
                    "winners": b.winners,
                    "counts": b.counts,
                    "step": step,
                    "ring": b.ring,
                    "candidates": b.candidates,
                },
                (1, 1, 1),
            ),
        ]


def packed(settings: SamplingSettings, flags: int) -> bytes:
    """The settings as kernels/sample_prepare.wgsl lays them out."""
    seed = secrets.randbits(64) if settings.seed is None else settings.seed % 2**64
    return struct.pack(
        "<fIffQfffI",
        0.0 if settings.greedy else settings.temperature,
        settings.top_k,
        settings.top_p,
        settings.min_p,
        seed,
        settings.repetition_penalty,
        settings.frequency_penalty,
        settings.presence_penalty,
        flags,
    )
