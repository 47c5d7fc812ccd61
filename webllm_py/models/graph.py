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
                        SCALE=self.config.embedding_scale,
                    ),
                    {**part.buffers, "step": self.buffers.step, "y": self.buffers.hidden},
                    (-(-matrix.units // 64), self.rows, 1),
                    name,
                )
            )

    def project_qkv(self, name: str, layer: int) -> None:
        """q, and the layer's pages, from the normed hidden rows: projected, biased, normed by
        head, rotated."""
        config, buffers = self.config, self.buffers
        quantized = self.kv_format == "q8"
        rope = config.kind(layer).rope
        targets = {
            "step": buffers.step,
            "rope": buffers.rope["global" if rope == "none" else rope],
            "q_out": buffers.q,
            "kv": buffers.kv_rows if quantized else buffers.kv[layer],
        }
        words = writer_words(self.kv_format)
        constants: dict[str, float] = {
            "HEADS": config.n_heads,
            "ROTARY": 0 if rope == "none" else config.rotary_dim,
            "FINE": FINE,
            **self.page_constants(),
        }
        if config.query_growth and config.rope_scaling:
            constants |= {
                "GROWTH": config.query_growth,
                "ORIGINAL": config.rope_scaling.original_context,
            }
        x = {"x": buffers.hidden}
        if config.qk_norm is None:
            self.linear(name, x, "rope_append", targets, snippets=words, **constants)
        else:
            width = (config.n_heads + 2 * config.n_kv_heads) * config.head_dim
            self.linear(name, x, "store", {"y": buffers.qkv}, Y_STRIDE=width)
            self.norm_heads(f"{name}_norm", targets, words, constants)
        if quantized:
            moved = {"rows": buffers.kv_rows, "step": buffers.step, "kv": buffers.kv[layer]}
            self.dispatches.append(quantize_rows(self.rows, moved, self.page_constants()))

    def norm_heads(
        self,
        name: str,
        targets: Mapping[str, Buffer],
        words: Mapping[str, str],
        constants: Mapping[str, float],
    ) -> None:
        """What rope_append does, of q, k and v whose q and k are normed first."""
        config = self.config
        whole = config.qk_norm == "whole"
        _, weight = self.weights.vectors[name]
        self.dispatches.append(
            Dispatch(
                kernel(
                    "head_norm",
                    snippets={**words, "epilogue": "epilogue/rope_append"},
                    EPS=config.norm_eps,
                    WHOLE=whole,
                    LANES=64,
                    THREADS=64,
                    **constants,
                ),
                {"x": self.buffers.qkv, "weight": weight, **targets},
                (3 if whole else config.n_heads + 2 * config.n_kv_heads, self.rows, 1),
                name,
            )
        )

    def attend(self, layer: int) -> None:
        """The attention of q over the sequence's keys and values, for ``add_attended``."""
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
        if self.fused:
            self.dispatches.append(attention.split(1))
        else:
            self.dispatches += attention.dispatches(self.rows)

    def add_attended(self, name: str, post_norm: str) -> None:
        """hidden += the projection of what ``attend`` left, as ``add_linear`` does it."""
        if not self.fused:
            self.add_linear(name, self.buffers.attended, post_norm)
            return
        self.add_projected(
            name,
            {"partial": self.buffers.partial, "step": self.buffers.step},
            post_norm,
            snippets={"source": "source/splits"},
            **self.attentions[-1].splits(1),
        )

    def add_linear(self, name: str, source: Buffer, post_norm: str) -> None:
        """hidden += the projection of ``source``, behind the norm of that name if there is one."""
        self.add_projected(name, {"x": source}, post_norm)

    def add_projected(
        self,
        name: str,
        sources: Mapping[str, Buffer],
        post_norm: str,
        *,
        snippets: Mapping[str, str] | None = None,
        **constants: float,
    ) -> None:
        """See ``add_linear``."""
        buffers = self.buffers
        behind = post_norm in self.weights.vectors
        epilogue, target = ("store", buffers.projected) if behind else ("residual", buffers.hidden)
        stride = padded(self.config.hidden_size)
        self.linear(
            name, sources, epilogue, {"y": target}, snippets=snippets, Y_STRIDE=stride, **constants
        )
        if behind:
            self.norm(post_norm, buffers.projected, buffers.hidden, add=True)

    def gated_linear(self, name: str) -> None:
        """gated = activated(gate) * up of the normed hidden rows."""
        self.linear(
            name,
            {"x": self.buffers.hidden},
            "glu",
            {"y": self.buffers.gated},
            snippets=self.activation,
            Y_STRIDE=padded(self.config.intermediate_size),
        )

    def gate_linears(self, gate: str, up: str) -> None:
        """As ``gated_linear``, from two matrices."""
        source, target = {"x": self.buffers.hidden}, {"y": self.buffers.gated}
        stride = padded(self.config.intermediate_size)
        self.linear(gate, source, "store", target, Y_STRIDE=stride)
        self.linear(up, source, "gate", target, snippets=self.activation, Y_STRIDE=stride)

    @property
    def activation(self) -> dict[str, str]:
        """The snippet of the MLP's epilogue."""
        return {"activation": f"activation/{self.config.activation}"}

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
            SOFTCAP=self.config.output_softcap,
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
            self.norm(name, sources["x"], self.buffers.normed)
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

    def norm(self, name: str, source: Buffer, target: Buffer, *, add: bool = False) -> None:
        """target = the norm of that name of the rows of source; or target += it."""
        vector, weight = self.weights.vectors[name]
        threads = min(self.tuning.reduce_threads, 128)
        self.dispatches.append(
            Dispatch(
                kernel(
                    "norm",
                    BLOCKS=padded(vector.columns) // 32,
                    K=vector.columns,
                    EPS=self.config.norm_eps,
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
