"""A step's dispatches by kernel and matrix: how many, how long, and the bytes that they read."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import compose
from webllm_py.models.kv_cache import page_bytes
from webllm_py.models.step import PAGE
from webllm_py.models.weights import Weights
from webllm_py.runtime.executor import Executor

__all__ = ["kernel_rows"]


def kernel_rows(
    executor: Executor,
    dispatches: Sequence[Dispatch],
    runs: Sequence[Sequence[float]],
    rows: int,
    positions: int,
) -> list[dict[str, Any]]:
    """One row for all dispatches of a kernel on the same matrix of every layer, slowest first.

    Args:
        runs: seconds of each dispatch, in every run.
        rows: tokens that the step computes.
        positions: those whose keys and values it reads.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, dispatch in enumerate(dispatches):
        key = (dispatch.kernel.name, role(dispatch), weight_format(dispatch))
        groups.setdefault(key, []).append(i)
    reads = Reads(executor, rows, positions)
    found = [
        {
            "kernel": kernel,
            "matrix": matrix,
            "shape": shape(dispatches[members[0]], executor.weights),
            "format": format,
            "count": len(members),
            "gpu_s": median(sum(run[i] for i in members) for run in runs),
            "bytes": sum(reads.of(dispatches[i]) for i in members),
        }
        for (kernel, matrix, format), members in groups.items()
    ]
    return sorted(found, key=lambda row: -row["gpu_s"])


def role(dispatch: Dispatch) -> str:
    """The name of its matrix, the same in every layer: "ffn_down", not "blk.3.ffn_down"."""
    layer, _, rest = dispatch.label.removeprefix("blk.").partition(".")
    return rest if layer.isdigit() else dispatch.label


def weight_format(dispatch: Dispatch) -> str:
    """In which format it reads weights, as kernels/quant names it; "" if it reads none."""
    return dict(dispatch.kernel.snippets).get("quant", "").rpartition("/")[2]


def shape(dispatch: Dispatch, weights: Weights) -> list[int]:
    """Rows and columns of its matrix; nothing without one."""
    if dispatch.label not in weights.matrices:
        return []
    matrix, _ = weights.matrices[dispatch.label]
    return [matrix.rows, matrix.columns]


class Reads:
    """Bytes that a dispatch must read of weights and of the KV cache, each of them once."""

    def __init__(self, executor: Executor, rows: int, positions: int):
        config = executor.model.config
        self.variant = executor.device.variant
        pages = page_bytes(config, executor.kv_format) * positions // PAGE
        self.kv = {executor.buffers.kv[layer]: pages for layer in executor.cache.paged}
        weights = executor.weights
        self.weights = {buffer for _, buffer in weights.vectors.values()}
        self.experts: set[Buffer] = set()
        for matrix, slices in weights.matrices.values():
            buffers = [buffer for part in slices for buffer in part.buffers.values()]
            self.weights.update(buffers)
            if matrix.together > 1:
                self.experts.update(buffers)
        # Of a mixture, as many experts as tokens may go to.
        self.gone_to = min(1.0, rows * config.experts_a_row / max(1, config.all_experts))
        # Of an embedding table, as many rows as there are tokens.
        self.looked_up = min(1.0, rows / config.vocab_size)

    def of(self, dispatch: Dispatch) -> int:
        """Bytes of one dispatch."""
        buffers = {
            dispatch.buffers[binding.name]
            for binding in compose(dispatch.kernel, self.variant).bindings
            if not binding.writable
        }
        experts = sum(buffer.size for buffer in buffers & self.experts)
        weights = sum(buffer.size for buffer in buffers & self.weights)
        weights -= round(experts * (1 - self.gone_to))
        if dispatch.kernel.name == "embed":
            weights = round(weights * self.looked_up)
        return weights + sum(self.kv.get(buffer, 0) for buffer in buffers)
