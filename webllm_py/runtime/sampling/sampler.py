"""The sampler's side of a step: its buffers, its kernels, and a request's settings as words."""

from __future__ import annotations

import secrets
import struct
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import Kernel, kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.image_rows import without_images
from webllm_py.models.step import ROWS_AT, SLOTS
from webllm_py.models.tuning import Tuning
from webllm_py.runtime.sampling.settings import SamplingSettings

__all__ = ["NOTHING", "RING", "Drawing", "Sampler"]

RING = 1024
"""Drawn tokens of a slot that the GPU remembers; more are never in flight."""
NOTHING = (1 << 32) - 2
"""In the place of a drawn token: none could be, since the logits are no numbers."""
IN_PROMPT = 1 << 31
PENALTIES, BIAS, UNCUT, MASKED, SHAPED, ESTIMATES = 1, 2, 4, 8, 16, 32
# Enough tokens a workgroup that its reduction is worth it, few enough to fill the GPU.
ITEMS = 4
SETTINGS_BYTES = 64
ALWAYS = (1 << 32) - 1
SNIPPETS = {"settings": "sample/settings", "best": "sample/best", "gumbel": "sample/gumbel"}


@dataclass(frozen=True)
class Drawing:
    """What drawing from rows of logits works in; see kernels/sample_*.wgsl."""

    logits: Buffer
    scaled: Buffer
    winners: Buffer
    candidates: Buffer


class Sampler:
    """Draws tokens on the GPU for one request, or for sequences that are decoded together.

    Attributes:
        settings, counts, bias, masks, mirostat: what each slot's draws depend on; see
            kernels/sample_prepare.wgsl and sample_select.wgsl.
        mask_bytes: of a mask.
        ring: drawn tokens, (RING, slots).
    """

    def __init__(
        self, device: Device, owner: BufferOwner, vocab_size: int, tuning: Tuning, slots: int = 1
    ):
        self.device = device
        self.vocab_size = vocab_size
        self.slots = slots
        self._threads = tuning.reduce_threads
        self._groups = -(-vocab_size // (ITEMS * self._threads))
        self.settings = owner.create("sampler settings", SETTINGS_BYTES * slots)
        self.counts = owner.create("token counts", 4 * vocab_size * slots)
        self.bias = owner.create("logit bias", 4 * vocab_size * slots)
        self.mask_bytes = 4 * -(-vocab_size // 32)
        self.masks = owner.create("token masks", 4 * SLOTS + self.mask_bytes * slots)
        device.write(self.masks, 0, array("I", map(self._mask_at, range(SLOTS))).tobytes())
        self.mirostat = owner.create("mirostat", 4 * slots)
        self.ring = owner.create("drawn tokens", 4 * RING * slots)

    @property
    def state(self) -> tuple[Buffer, ...]:
        """What draws depend on; slot after slot, so that a larger sampler can take it over."""
        return self.settings, self.counts, self.bias, self.masks, self.mirostat

    def drawing(
        self,
        owner: BufferOwner,
        rows: int,
        scratch: Sequence[Buffer],
        logits: Buffer | None = None,
    ) -> Drawing:
        """Buffers to draw from ``rows`` rows of logits.

        Args:
            scratch: two buffers that are free while tokens are drawn: used where they are enough;
                or none.
            logits: where the logits are, if there is room already.
        """

        def borrowed(i: int, label: str, size: int) -> Buffer:
            enough = i < len(scratch) and scratch[i].size >= size
            return scratch[i] if enough else owner.create(label, size)

        vocab = self.vocab_size
        return Drawing(
            logits=logits or owner.create("logits", 4 * vocab * rows),
            scaled=borrowed(0, "scaled logits", 4 * (-(-vocab // 4) * 4) * rows),
            winners=owner.create("winners", 8 * self._groups * rows),
            candidates=borrowed(1, "candidates", 8 * vocab * rows),
        )

    def begin(
        self,
        settings: SamplingSettings,
        prompt: Sequence[int],
        slot: int = 0,
        *,
        masked: bool = False,
        biased: bool = False,
        ends: Collection[int] = (),
        said: Sequence[int] = (),
    ) -> None:
        """Set a slot up for a request.

        Args:
            masked: each draw has a mask, see ``mask``.
            biased: the bias changes from draw to draw, see ``rebias``.
            ends: tokens that end a text, which ``settings.min_tokens`` is about.
            said: tokens that were drawn for it elsewhere.
        """
        flags = 0
        if (
            settings.repetition_penalty != 1
            or settings.frequency_penalty
            or settings.presence_penalty
        ):
            flags |= PENALTIES
            counts = array("I", bytes(4 * self.vocab_size))
            for token in without_images(prompt):
                counts[token] = IN_PROMPT
            for token in said:
                counts[token] += 1
            self._write(self.counts, slot, counts)
        if settings.logit_bias or biased:
            flags |= BIAS
            bias = array("f", bytes(4 * self.vocab_size))
            for token, value in settings.logit_bias.items():
                bias[token] = value
            self._write(self.bias, slot, bias)
        if settings.shaped:
            flags |= SHAPED | (ESTIMATES if settings.mirostat == 1 else 0)
            self.device.write(self.mirostat, 4 * slot, struct.pack("<f", 2 * settings.mirostat_tau))
        cut = 0 < settings.top_k < self.vocab_size or settings.top_p < 1 or settings.min_p > 0
        if not cut and not settings.greedy and not settings.shaped:
            flags |= UNCUT
        masks = ALWAYS if masked else settings.min_tokens
        if masks:
            flags |= MASKED
        if masks and not masked:
            self.mask(self.all_but(ends), slot)
        self.device.write(self.settings, SETTINGS_BYTES * slot, packed(settings, flags, masks))

    def all_but(self, tokens: Collection[int]) -> bytes:
        """The mask of all tokens but these."""
        allowed = bytearray(b"\xff" * self.mask_bytes)
        for token in tokens:
            if token < self.vocab_size:
                allowed[token // 8] &= ~(1 << token % 8)
        return bytes(allowed)

    def rebias(self, changes: Mapping[int, float], slot: int = 0) -> None:
        """Other biases of some tokens, for the next draws."""
        for token, value in changes.items():
            offset = 4 * (self.vocab_size * slot + token)
            self.device.write(self.bias, offset, struct.pack("<f", value))

    def recount(self, tokens: Mapping[int, tuple[int, bool]]) -> None:
        """How often the only slot's tokens were generated, and whether they are in the prompt."""
        for token, (count, in_prompt) in tokens.items():
            word = count | (IN_PROMPT if in_prompt else 0)
            self.device.write(self.counts, 4 * token, struct.pack("<I", word))

    def mask(self, allowed: bytes, slot: int = 0) -> None:
        """Which tokens the next draws may give: of token i, bit ``i % 32`` of the little-endian
        word ``i // 32``."""
        self.device.write(self.masks, 4 * self._mask_at(slot), allowed)

    def _mask_at(self, slot: int) -> int:
        return SLOTS + self.mask_bytes // 4 * slot

    def _write(self, buffer: Buffer, slot: int, values: array[int] | array[float]) -> None:
        self.device.write(buffer, 4 * self.vocab_size * slot, values.tobytes())

    def draw(
        self,
        drawing: Drawing,
        step: Buffer,
        rows: int = 1,
        *,
        masks: Buffer | None = None,
        shared: bool = False,
    ) -> list[Dispatch]:
        """Draw from each row of logits, or for each from the first one, and advance ``step``.

        Args:
            masks: others than ``mask`` writes.
        """
        return [
            self._prepare(drawing, step, rows, masks, SHARED=shared),
            self._select(drawing, step, rows, self.ring),
        ]

    def verify(
        self, drawing: Drawing, step: Buffer, rows: int, drawn: Buffer, accepted: Buffer
    ) -> list[Dispatch]:
        """Draw after each guess in the rows of ``step``, and take over what was guessed right.

        Args:
            drawn: scratch, a word a row.
            accepted: a word: how many tokens there are now; then the tokens, up to one a row.
        """
        accept = Dispatch(
            kernel("sample_accept", STEP_ROWS=ROWS_AT),
            {"step": step, "drawn": drawn, "counts": self.counts, "accepted": accepted},
            (1, 1, 1),
        )
        return [
            self._prepare(drawing, step, rows, VERIFY=True),
            self._select(drawing, step, rows, drawn, VERIFY=True),
            accept,
        ]

    def _prepare(
        self,
        drawing: Drawing,
        step: Buffer,
        rows: int,
        masks: Buffer | None = None,
        **constants: bool,
    ) -> Dispatch:
        return Dispatch(
            self._kernel("sample_prepare", ITEMS=ITEMS, THREADS=self._threads, **constants),
            {
                "logits": drawing.logits,
                "settings": self.settings,
                "counts": self.counts,
                "bias": self.bias,
                "scaled": drawing.scaled,
                "winners": drawing.winners,
                "step": step,
                "masks": masks or self.masks,
            },
            (self._groups, rows, 1),
        )

    def _select(
        self, drawing: Drawing, step: Buffer, rows: int, ring: Buffer, **constants: bool
    ) -> Dispatch:
        return Dispatch(
            self._kernel(
                "sample_select", WINNERS=self._groups, RING=RING, SLOTS=self.slots, **constants
            ),
            {
                "scaled": drawing.scaled,
                "settings": self.settings,
                "winners": drawing.winners,
                "counts": self.counts,
                "step": step,
                "ring": ring,
                "candidates": drawing.candidates,
                "mirostat": self.mirostat,
            },
            (rows, 1, 1),
        )

    def _kernel(self, name: str, **constants: float) -> Kernel:
        vocab = self.vocab_size
        return kernel(name, snippets=SNIPPETS, VOCAB=vocab, STEP_ROWS=ROWS_AT, **constants)


def packed(settings: SamplingSettings, flags: int, masks: int) -> bytes:
    """The settings as kernels/sample/settings.wgsl lays them out."""
    seed = secrets.randbits(64) if settings.seed is None else settings.seed % 2**64
    steered = settings.mirostat_tau > 0
    return struct.pack(
        "<fIffQfffIIfffff",
        0.0 if settings.greedy else settings.temperature,
        0 if steered else settings.top_k,
        1.0 if steered else settings.top_p,
        0.0 if steered else settings.min_p,
        seed,
        settings.repetition_penalty,
        settings.frequency_penalty,
        settings.presence_penalty,
        flags,
        masks,
        1.0 if steered else settings.typical_p,
        0.0 if steered else settings.xtc_probability,
        settings.xtc_threshold,
        settings.mirostat_tau,
        settings.mirostat_eta,
    )
