"""A forward pass, written down as dispatches.

A model's ``forward`` calls these operations in order: once for single rows (a decode step) and for
a few (short prompts, sequences decoded together), with GEMVs and split attention, and once for each
chunk size (prefill), with GEMMs and tiled attention. Nothing runs here.
"""

from __future__ import annotations

from collections.abc import Mapping

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import Activations, padded
from webllm_py.models.attention import Attention
from webllm_py.models.config import ModelConfig
from webllm_py.models.kv_cache import KVFormat, quantize_rows, writer_words
from webllm_py.models.linear import DOT4_FORMATS, Linear, scales_at
from webllm_py.models.rope import FINE
from webllm_py.models.step import PAGE, ROWS_AT, StepLayout
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Matrix, Weights

__all__ = ["Graph"]


class Graph:
    """Collects the dispatches of one pass over ``rows`` rows.

    Args:
        rows: how many; beyond the tuning's ``few_rows`` a multiple of 32, up to there a power of 2
            or a multiple of 8.
        fused: of a row that attends to ``models.attention.fused_keys`` keys at most.
        dot4: multiply more rows than that in 8 bits, where the weight's format allows it.

    Attributes:
        linears, attentions: what the dispatches were made of, in their order.
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
        dot4: bool = False,
    ):
        self.rows = rows
        self.config = config
        self.weights = weights
        self.buffers = buffers
        self.layout = layout
        self.device = device
        self.tuning = tuning
        self.kv_format = kv_format
        self.few = rows <= tuning.few_rows
        self.fused = fused
        self.dot4 = dot4 and not self.few
        self.dispatches: list[Dispatch] = []
        self.linears: list[Linear] = []
        self.attentions: list[Attention] = []

    def embed(self, name: str) -> None:
        """hidden = rows of the table for the step's tokens."""
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
                    ),
                    {**part.buffers, "step": self.buffers.step, "y": self.buffers.hidden},
                    (-(-matrix.units // 64), self.rows, 1),
                    name,
                )
            )

    def project_qkv(self, name: str, layer: int) -> None:
        """q, and the layer's pages, from the normed hidden rows: projected, biased, rotated."""
        config, buffers = self.config, self.buffers
        quantized = self.kv_format == "q8"
        self.linear(
            name,
            {"x": buffers.hidden},
            "rope_append",
            {
                "step": buffers.step,
                "rope": buffers.rope,
                "q_out": buffers.q,
                "kv": buffers.kv_rows if quantized else buffers.kv[layer],
            },
            snippets=writer_words(self.kv_format),
            HEADS=config.n_heads,
            ROTARY=config.rotary_dim,
            FINE=FINE,
            **self.page_constants(),
        )
        if quantized:
            moved = {"rows": buffers.kv_rows, "step": buffers.step, "kv": buffers.kv[layer]}
            self.dispatches.append(quantize_rows(self.rows, moved, self.page_constants()))

    def add_attention(self, name: str, layer: int) -> None:
        """hidden += the projection of the attention of q over the sequence's keys and values."""
        attention = Attention(
            self.config,
            self.tuning,
            self.kv_format,
            self.page_constants(),
            self.buffers,
            layer,
            self.fused,
        )
        self.attentions.append(attention)
        if not self.fused:
            self.dispatches += attention.dispatches(self.rows)
            self.add_linear(name, self.buffers.attended)
            return
        self.dispatches.append(attention.split(1))
        self.linear(
            name,
            {"partial": self.buffers.partial, "step": self.buffers.step},
            "residual",
            {"y": self.buffers.hidden},
            snippets={"source": "source/splits"},
            Y_STRIDE=padded(self.config.hidden_size),
            **attention.splits(1),
        )

    def add_linear(self, name: str, source: Buffer) -> None:
        """hidden += the projection of ``source``."""
        self.linear(
            name,
            {"x": source},
            "residual",
            {"y": self.buffers.hidden},
            Y_STRIDE=padded(self.config.hidden_size),
        )

    def gated_linear(self, name: str) -> None:
        """gated = silu(gate) * up of the normed hidden rows."""
        self.linear(
            name,
            {"x": self.buffers.hidden},
            "silu_mul",
            {"y": self.buffers.gated},
            Y_STRIDE=padded(self.config.intermediate_size),
        )

    def gate_linears(self, gate: str, up: str) -> None:
        """As ``gated_linear``, from two matrices."""
        source, target = {"x": self.buffers.hidden}, {"y": self.buffers.gated}
        for name, epilogue in ((gate, "store"), (up, "gate")):
            stride = padded(self.config.intermediate_size)
            self.linear(name, source, epilogue, target, Y_STRIDE=stride)

    def pick_row(self) -> None:
        """Move the hidden row that the step names to row 0, which one row's ``output`` reads."""
        blocks = padded(self.config.hidden_size) // 32
        self.dispatches.append(
            Dispatch(
                kernel("pick_row", BLOCKS=blocks),
                {"step": self.buffers.step, "x": self.buffers.hidden},
                (-(-blocks * 8 // 64), 1, 1),
            )
        )

    def output(self, name: str) -> None:
        """logits of the normed hidden rows."""
        self.linear(
            name,
            {"x": self.buffers.hidden},
            "store",
            {"y": self.buffers.logits},
            Y_STRIDE=self.config.vocab_size,
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
        """A matrix times rows of "x", normed first and biased if its vector says so."""
        matrix, slices = self.weights.matrices[name]
        vector, vectors = self.weights.vectors.get(name, (None, self.buffers.zeros))
        normed = bool(vector and vector.norm)
        dot4 = self.dot4 and all(part.format in DOT4_FORMATS for part in slices)
        if dot4:
            sources = {"x": self.quantize(matrix, sources["x"], vectors, normed=normed)}
        elif normed and not self.few:
            self.normalize(matrix, vectors)
            sources = {"x": self.buffers.normed}
        shared = {
            "epilogue": f"epilogue/{epilogue}",
            "finish": "linear/finish",
            **({"source": "source/row"} if self.rows == 1 else {}),
            **(snippets or {}),
        }
        if vector and vector.biases:
            constants |= {"BIAS": True, "BIAS_AT": vector.bias_at // 4}
        if normed and self.few:
            constants |= {"NORM": True, "EPS": self.config.norm_eps}
        across = self.device.limits.max_compute_workgroups_per_dimension
        for part in slices:
            buffers = {**sources, "vectors": vectors, **part.buffers, **targets}
            words = {**shared, "quant": f"{'dot4' if dot4 else 'quant'}/{part.format}"}
            layer = Linear(matrix, part, buffers, words, constants, self.tuning, across)
            self.linears.append(layer)
            most = self.layout.max_rows
            made = layer.gemm_dot4(self.rows, most) if dot4 else layer.dispatch(self.rows)
            self.dispatches.append(made)

    def quantize(self, matrix: Matrix, source: Buffer, vectors: Buffer, *, normed: bool) -> Buffer:
        """Rows of ``source`` in 8 bits, normed first if need be; where they are then."""
        buffers = self.buffers
        target = buffers.q if source is buffers.attended else buffers.normed
        threads = min(self.tuning.reduce_threads, 128)
        self.dispatches.append(
            Dispatch(
                kernel(
                    "x_quantize",
                    BLOCKS=matrix.blocks,
                    K=matrix.columns,
                    SCALES_AT=scales_at(matrix, self.layout.max_rows) // 4,
                    NORM=normed,
                    EPS=self.config.norm_eps,
                    LANES=threads,
                    THREADS=threads,
                ),
                {"x": source, "vectors": vectors, "y": target},
                (1, self.rows // 4, 1),
            )
        )
        return target

    def normalize(self, matrix: Matrix, weight: Buffer) -> None:
        """normed = RMSNorm of the hidden rows."""
        threads = min(self.tuning.reduce_threads, 128)
        self.dispatches.append(
            Dispatch(
                kernel(
                    "rmsnorm",
                    BLOCKS=matrix.blocks,
                    K=matrix.columns,
                    EPS=self.config.norm_eps,
                    LANES=threads,
                    THREADS=threads,
                ),
                {"x": self.buffers.hidden, "weight": weight, "y": self.buffers.normed},
                (1, self.rows, 1),
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
