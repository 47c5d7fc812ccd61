"""Records a forward pass: table look-ups, linear layers and norms as dispatches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import Activations, padded
from webllm_py.models.attention import Attention
from webllm_py.models.config import ModelConfig
from webllm_py.models.kv_cache import KVFormat
from webllm_py.models.linear import DOT4_FORMATS, MINIMA, Gemm, Linear, quantize_rows
from webllm_py.models.lora import LowRank
from webllm_py.models.lora_shrink import Shrink
from webllm_py.models.mixture import ExpertLinear
from webllm_py.models.step import PAGE, ROWS_AT, StepLayout
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Matrix, Slice, Weights

__all__ = ["Recording"]

# What a row's kernel reads and does beside the product; see kernels/gemv.wgsl.
SINGLE_ROW = {"source": "source/row", "low": "lora/not_parts", "ahead": "lora/not_ahead"}


class Recording:
    """Collects the dispatches of one pass over ``rows`` rows.

    Args:
        rows: how many: up to the tuning's ``few_rows`` a power of 2 or a multiple of 8, beyond it a
            multiple of 32.
        fused: whether the pass is over one row that attends to at most
            ``models.attention.fused_keys`` keys, for which attention is one kernel.
        gemm: how more than ``few_rows`` rows are multiplied, where the weight's format and the
            number of rows allow it.
        adapters: the LoRA adapters of matrices, by the matrices' names; none for a pass without.

    Attributes:
        linears, expert_linears, attentions: the layers that dispatches were made of, in order; for
            tuning.
    """

    def __init__(
        self,
        rows: int,
        *,
        config: ModelConfig,
        weights: Weights,
        buffers: Activations,
        layout: StepLayout,
        device: Device,
        tuning: Tuning,
        kv_format: KVFormat,
        fused: bool = False,
        gemm: Gemm = "plain",
        adapters: Mapping[str, LowRank] | None = None,
    ):
        self.rows = rows
        self.config = config
        self.weights = weights
        self.buffers = buffers
        self.layout = layout
        self.device = device
        # Passes that are to be exact keep keys and values in float32. Adapters have no kernel that
        # rounds a row.
        self.tuning = tuning.exact if kv_format == "f32" or adapters else tuning
        self.kv_format = kv_format
        self.few = rows <= tuning.few_rows
        self.fused = fused
        self.gemm: Gemm = "plain" if self.few else gemm
        self.adapters = adapters or {}
        self.dispatches: list[Dispatch] = []
        self.linears: list[Linear] = []
        self.expert_linears: list[ExpertLinear] = []
        self.attentions: list[Attention] = []

    def look_up(self, name: str, **constants: float) -> None:
        """Write rows of a table to hidden."""
        matrix, slices = self.weights.matrices[name]
        for part in slices:
            self.dispatches.append(
                Dispatch(
                    kernel(
                        "embed",
                        snippets={"quant": f"quant/{part.format}"},
                        UNITS=matrix.units,
                        ROW0=part.row0,
                        SLICE=part.rows,
                        STEP_ROWS=ROWS_AT,
                        **constants,
                    ),
                    {**part.buffers, "step": self.buffers.step, "y": self.buffers.hidden},
                    (-(-matrix.units // 64), self.rows, 1),
                    name,
                )
            )

    def linear(
        self,
        name: str,
        sources: Mapping[str, Buffer],
        epilogue: str,
        targets: Mapping[str, Buffer],
        *,
        snippets: Mapping[str, str] | None = None,
        **constants: float,
    ) -> None:
        """A matrix times rows of "x", normed first and biased if its vector says so.

        Args:
            name: the matrix's; of the vector and the adapters as well, if there are any.
            sources: buffers of the rows, "x", or of what the source snippet makes them from.
            epilogue: what becomes of the result: a file of kernels/epilogue.
            targets: buffers that the epilogue writes.
            snippets, constants: the epilogue's own.
        """
        matrix, slices = self.weights.matrices[name]
        vector, vectors = self.weights.vectors.get(name, (None, self.buffers.zeros))
        normed = bool(vector and vector.norm)
        in_kernel = normed and self.few and self.config.norm == "rms"
        dot4 = self.gemm == "dot4" and all(map(self.rounds, slices))
        low = self.adapters.get(name)
        used = {
            "epilogue": f"epilogue/{epilogue}",
            "finish": "linear/finish",
            **(snippets or {}),
        }
        if self.rows == 1:
            used = {**SINGLE_ROW, **used}
        if dot4:
            if low:
                self.shrink(low, matrix, sources["x"], norm=normed, divide=normed)
            sums = any(part.format in MINIMA for part in slices)
            x = self.quantize(matrix, sources["x"], vectors, normed=normed, sums=sums)
            sources = {"x": x}
        elif normed and not in_kernel:
            sources = {"x": self.normed(name, sources["x"])}
        if low:
            vectors = low.buffer
            used |= {"finish": "linear/finish_lora"}
            constants |= {"LORA_AT": low.at, "LORA_QUADS": low.quads}
            row = sources.get("x", self.buffers.partial)
            if parts := self.make_ahead(name, row, norm=in_kernel):
                used |= {"low": "lora/parts"}
                constants |= {"LORA_PARTS": parts}
            elif not dot4:
                self.shrink(low, matrix, row, norm=in_kernel)
        if vector and vector.biases:
            constants |= {"BIAS": True, "BIAS_AT": vector.bias_at // 4}
        if in_kernel:
            constants |= {"NORM": True, "EPS": self.config.norm_eps}
        bound = {**sources, "vectors": vectors, **targets}
        self.multiply(matrix, slices, bound, used, constants, dot4=dot4)

    def rounds(self, part: Slice) -> bool:
        """Whether chunks can be multiplied with a slice in 8 bits."""
        return part.format in DOT4_FORMATS and part.format not in self.tuning.exact_formats

    def multiply(
        self,
        matrix: Matrix,
        slices: Sequence[Slice],
        bound: Mapping[str, Buffer],
        snippets: Mapping[str, str],
        constants: Mapping[str, float],
        *,
        dot4: bool,
    ) -> None:
        """The dispatches of a matrix, one a slice.

        Args:
            bound: every binding's buffer but those of the weights.
            snippets, constants: the kernel's, as ``gpu.kernels.kernel`` takes them.
            dot4: whether rows are in 8 bits.
        """
        across = self.device.limits.max_compute_workgroups_per_dimension
        rounded: Buffer | None = None
        for part in slices:
            used = {**snippets, "quant": f"{'dot4' if dot4 else 'quant'}/{part.format}"}
            buffers = {**bound, **part.buffers}
            layer = Linear(matrix, part, buffers, used, constants, self.tuning, across)
            self.linears.append(layer)
            if not (self.few and self.rows > 1 and layer.rounds):
                self.dispatches.append(self.multiplication(layer, dot4=dot4))
                continue
            if rounded is None:
                rounded = self.buffers.partial  # between two layers' attentions nobody needs it
                self.dispatches.append(layer.round_rows(self.rows, rounded))
            self.dispatches.append(layer.gemv_rows_dot4(self.rows, rounded))

    def multiplication(self, layer: Linear, *, dot4: bool) -> Dispatch:
        """A layer's dispatch for this pass's rows; ``dot4``: they are in 8 bits."""
        if dot4:
            return layer.gemm_dot4(self.rows, self.layout.max_rows)
        if self.gemm == "matrices" and self.rows % 64 == 0:
            return layer.gemm_matrices(self.rows)
        return layer.dispatch(self.rows)

    def make_ahead(self, name: str, source: Buffer, *, norm: bool) -> int:
        """Have the dispatch before make the first half of a matrix's adapters, if it can.

        Returns:
            How many parts it makes, which are then to be added up; 0 if it does not.
        """
        ahead = self.ahead(name, source, norm=norm)
        if ahead is None:
            return 0
        before = self.dispatches[-1]
        self.dispatches[-1] = ahead.made_by(before)
        return ahead.parts(before)

    def ahead(self, name: str, source: Buffer, *, norm: bool) -> Shrink | None:
        """What the dispatch before would make of a matrix's adapters; None if it cannot, or if its
        parts are too many to be added up in every workgroup of the matrix's dispatch."""
        low = self.adapters.get(name)
        if low is None or self.rows > 1 or not self.dispatches:
            return None
        matrix, slices = self.weights.matrices[name]
        ahead = Shrink(low, matrix, source, self.buffers.step, self.layout, norm)
        groups = 0
        for part in slices:
            shape = self.tuning.gemv(part.rows, matrix.units)
            groups += -(-part.rows // (4 * shape.quads * shape.groups))
        parts = ahead.parts(self.dispatches[-1])
        read = 16 * groups * parts * low.quads
        return ahead if 0 < read <= self.tuning.ahead_bytes else None

    def shrink(
        self, low: LowRank, matrix: Matrix, source: Buffer, *, norm: bool, divide: bool = False
    ) -> None:
        """Multiply rows of ``source`` with the first half of a matrix's adapters."""
        shrink = Shrink(low, matrix, source, self.buffers.step, self.layout, norm)
        eps, most_threads = self.config.norm_eps, self.tuning.reduce_threads
        self.dispatches.append(
            shrink.dispatch(self.rows, eps=eps, most_threads=most_threads, divide=divide)
        )

    def quantize(
        self, matrix: Matrix, source: Buffer, vectors: Buffer, *, normed: bool, sums: bool
    ) -> Buffer:
        """Quantize rows of ``source`` to 8 bits, normed first with ``normed``, with ``sums`` for
        weights that have minima; their buffer."""
        buffers = self.buffers
        target = buffers.q if source is buffers.attended else buffers.normed
        made = quantize_rows(
            matrix,
            {"x": source, "vectors": vectors, "y": target},
            self.rows,
            self.layout.max_rows,
            sums=sums,
            normed=normed,
            eps=self.config.norm_eps,
            most_threads=self.tuning.reduce_threads,
        )
        self.dispatches.append(made)
        return target

    def normed(self, name: str, source: Buffer) -> Buffer:
        """Norm rows for a linear layer; their buffer."""
        # ``normed`` shares its memory with attention's result, which a parallel MLP must leave.
        target = self.buffers.projected if self.config.parallel else self.buffers.normed
        self.norm(name, source, target)
        return target

    def norm(self, name: str, source: Buffer, target: Buffer, *, add: bool = False) -> None:
        """target = norm(source), with the weight of that name; or with ``add`` target += it."""
        vector, weight = self.weights.vectors[name]
        threads = min(self.tuning.reduce_threads, 128)
        self.dispatches.append(
            Dispatch(
                kernel(
                    "norm",
                    BLOCKS=padded(vector.columns) // 32,
                    K=vector.columns,
                    EPS=self.config.norm_eps,
                    CENTERED=self.config.norm == "layer",
                    BIAS=len(vector.norm) > 1,
                    ADD=add,
                    LANES=threads,
                    THREADS=threads,
                ),
                {"x": source, "weight": weight, "y": target},
                (1, self.rows, 1),
                name,
            )
        )

    def page_constants(self) -> dict[str, int]:
        """What kernels/kv/pages.wgsl needs to find a position's keys and values."""
        return {
            "KV_HEADS": self.config.n_kv_heads,
            "HEAD_DIM": self.config.head_dim,
            "PAGE": PAGE,
            "STEP_ROWS": ROWS_AT,
            "STEP_PAGES": self.layout.pages_at,
            "MAX_PAGES": self.layout.max_pages,
        }
