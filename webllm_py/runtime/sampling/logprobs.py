"""Log-probabilities of drawn tokens: found on the GPU, kept beside the ring of drawn tokens."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.step import ROWS_AT
from webllm_py.models.tuning import Tuning

__all__ = ["MOST_TOP", "Logprobs", "TokenLogprob"]

MOST_TOP = 20
"""Most alternatives of a token, as with OpenAI."""
# What OpenAI writes for a logarithm of 0, which JSON has no number for.
LEAST = -9999.0
# Few numbers, so that kernels are compiled for few.
TOPS = (1, 5, MOST_TOP)
ITEMS = 8


@dataclass(frozen=True)
class TokenLogprob:
    """A token's log-probability among all, and the most likely tokens with theirs, by likelihood.

    Natural logarithms of the softmax of the model's own logits: before penalties, bias,
    temperature, cuts, and masks. A text's first token has none: nothing is before it.
    """

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


class Logprobs:
    """Log-probabilities of what a sampler draws.

    Args:
        ring: for how many tokens of a slot there is room.
        top: how many alternatives of each token are wanted, up to ``MOST_TOP``.
        rows: most rows of a step.

    """

    def __init__(
        self,
        device: Device,
        owner: BufferOwner,
        vocab_size: int,
        tuning: Tuning,
        *,
        ring: int,
        top: int,
        rows: int = 1,
        slots: int = 1,
    ):
        self.device = device
        self.top = top
        self._owner = owner
        self._logits: Buffer | None = None
        self._vocab = vocab_size
        self._slots = slots
        self._ring = ring
        self._found = next(n for n in TOPS if n >= top)
        self._threads = tuning.reduce_threads
        self._groups = -(-vocab_size // (ITEMS * self._threads))
        self._parts = owner.create("logprob parts", 8 * (1 + self._found) * self._groups * rows)
        self._record = 4 * (1 + 2 * self._found)
        self.kept = owner.create("logprobs", self._record * ring * slots)

    def dispatches(
        self, logits: Buffer, step: Buffer, rows: int, *, shared: bool = False
    ) -> list[Dispatch]:
        """Find those of the rows' tokens, once these were drawn.

        Args:
            shared: all rows' logits are the first row's.
        """
        logits = self._logits or logits
        sizes: dict[str, Any] = {
            "VOCAB": self._vocab,
            "TOP": self._found,
            "THREADS": self._threads,
            "STEP_ROWS": ROWS_AT,
            "SHARED": shared,
        }
        return [
            Dispatch(
                kernel("logprob_parts", ITEMS=ITEMS, **sizes),
                {"logits": logits, "step": step, "parts": self._parts},
                (self._groups, rows, 1),
            ),
            Dispatch(
                kernel(
                    "logprob_write",
                    PARTS=self._groups,
                    RING=self._ring,
                    SLOTS=self._slots,
                    **sizes,
                ),
                {"logits": logits, "step": step, "parts": self._parts, "ring": self.kept},
                (rows, 1, 1),
            ),
        ]

    def keep_logits(self) -> None:
        """From now on find them from logits that ``take`` gets: what is drawn from is changed."""
        self._logits = self._owner.create("logits as they were", 4 * self._vocab)

    def take(self, logits: bytes) -> None:
        """A row of logits before it is changed."""
        assert self._logits is not None
        self.device.write(self._logits, 0, logits)

    def read(self, first: int, count: int) -> Awaitable[bytes]:
        """Read those of each slot's tokens number ``first`` to ``first + count - 1``."""
        row = self._record * self._slots
        return self.device.read(self.kept, row * (first % self._ring), row * count)

    def of_slot(self, data: bytes, slot: int, tokens: Sequence[int]) -> list[TokenLogprob]:
        """The log-probabilities of a slot's tokens, from what ``read`` gave."""
        words, numbers = array("I", data), array("f", data)
        size = self._record // 4
        found = []
        for i, token in enumerate(tokens):
            at = (i * self._slots + slot) * size
            pairs = range(at + 1, at + 1 + 2 * self.top, 2)
            top = tuple(
                (words[p], max(numbers[p + 1], LEAST)) for p in pairs if words[p] < self._vocab
            )
            found.append(TokenLogprob(token, max(numbers[at], LEAST), top))
        return found
