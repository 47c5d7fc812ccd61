"""The first half (shrink) of adapters: a dispatch, or made by the one whose result it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.lora import LowRank
from webllm_py.models.step import MOST_ADAPTERS, ROWS_AT, SLOT_WORD, StepLayout
from webllm_py.models.weights import Matrix

__all__ = ["MOST_PARTS", "Shrink", "scale_constants"]

MOST_PARTS = 1024
MOST_QUADS = 64  # of ranks that kernels/lora/parts.wgsl has room for in workgroup memory
# Columns of the result for each quad of a GEMV's rows, by what it does with them.
COLUMNS = {
    "residual": 4,
    "weighted_residual": 4,
    "store": 4,
    "activate": 4,
    "gate": 4,
    "glu": 2,
}


@dataclass(frozen=True)
class Shrink:
    """The shrink of a matrix's adapters.

    Attributes:
        source: what has the rows, or the splits of attention that make a single one.
        norm: whether rows are to be multiplied with the norm's weight.
    """

    low: LowRank
    matrix: Matrix
    source: Buffer
    step: Buffer
    layout: StepLayout
    norm: bool = False

    def dispatch(
        self, rows: int, *, eps: float, most_threads: int, divide: bool = False
    ) -> Dispatch:
        """Of so many rows, a dispatch of its own.

        Args:
            eps: the norm's.
            divide: see kernels/lora_shrink.wgsl.
        """
        together, threads = 1 if rows == 1 else 4, min(most_threads, 128)
        made = kernel(
            "lora_shrink",
            snippets={},
            UNITS=self.matrix.units,
            K=self.matrix.columns,
            LORA_AT=self.low.at,
            LORA_QUADS=self.low.quads,
            ROWS=together,
            STEP_ROWS=ROWS_AT,
            **scale_constants(self.layout),
            NORM=self.norm,
            DIVIDE=divide,
            EPS=eps,
            LANES=threads,
            THREADS=threads,
        )
        bound = {"x": self.source, "lora": self.low.buffer, "step": self.step}
        groups = (self.low.quads, -(-rows // together), 1)
        return Dispatch(made, bound, groups, f"{self.matrix.name} adapters")

    def parts(self, before: Dispatch) -> int:
        """How many parts that dispatch can make of a row's; 0: something else makes the row."""
        parts = 0
        if before.kernel.name == "attention_split" and before.buffers["partial"] is self.source:
            sizes = dict(before.kernel.overrides)
            parts = int(sizes["HEADS"] * sizes["SPLITS"])
        elif before.buffers.get("y") is self.source and self.wide(before):
            parts = prod(before.groups)
        return parts if parts <= self.low.rows and self.low.quads <= MOST_QUADS else 0

    def wide(self, before: Dispatch) -> int:
        """How many vec4 of the row a workgroup makes; 0: that does not go."""
        sizes, snippets = dict(before.kernel.overrides), dict(before.kernel.snippets)
        if before.kernel.name == "attention_combine":
            columns = sizes["HEAD_DIM"]
        elif before.kernel.name == "gemv" and sizes["SLICE"] == sizes["N"]:
            each = COLUMNS.get(snippets["epilogue"].removeprefix("epilogue/"), 0)
            columns = sizes["GROUPS"] * sizes["QUADS"] * each
        else:
            return 0
        return 0 if columns % 4 or columns > sizes["THREADS"] else int(columns) // 4

    def made_by(self, before: Dispatch) -> Dispatch:
        """The dispatch ``before``, changed to make a row's as well; see kernels/lora/ahead.wgsl."""
        snippets = {"step": "lora/step_there" if "step" in before.buffers else "lora/step_own"}
        constants: dict[str, float] = {
            "AHEAD_AT": self.low.at,
            "AHEAD_QUADS": self.low.quads,
            "AHEAD_UNITS": self.matrix.units,
            "STEP_SLOT": ROWS_AT + SLOT_WORD,
            **scale_constants(self.layout),
        }
        if before.kernel.name == "attention_split":
            snippets |= {"ahead": "lora/ahead_heads"}
        else:
            snippets |= {"ahead": "lora/ahead_row"}
            constants |= {"AHEAD_WIDE": self.wide(before), "AHEAD_NORM": self.norm}
        made = kernel(
            before.kernel.name,
            snippets={**dict(before.kernel.snippets), **snippets},
            **{**dict(before.kernel.overrides), **constants},
        )
        buffers = {**before.buffers, "next": self.low.buffer, "step": self.step}
        return replace(before, kernel=made, buffers=buffers)


def scale_constants(layout: StepLayout) -> dict[str, int]:
    """Where kernels find the scales of a slot's adapters."""
    return {"ADAPTERS": MOST_ADAPTERS, "LORA_SCALES": layout.scales_at}
