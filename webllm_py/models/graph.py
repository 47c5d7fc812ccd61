"""A forward pass, written down as dispatches.

A model's ``forward`` calls these operations in order: once for single rows (a decode step) and for
a few (short prompts, sequences decoded together), with GEMVs and split attention, and once for each
chunk size (prefill), with GEMMs and tiled attention. Nothing runs here.
"""

from __future__ import annotations

from collections.abc import Mapping

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.attention import Attention
from webllm_py.models.kv_cache import quantize_rows, writer_snippets
from webllm_py.models.recording import Recording
from webllm_py.models.rope import FINE

__all__ = ["Graph"]


class Graph(Recording):
    """The operations that layers are made of."""

    def embed(self, name: str) -> None:
        """hidden = rows of the table for the step's tokens."""
        self.look_up(name, SCALE=self.config.embedding_scale)

    def embed_positions(self, name: str) -> None:
        """hidden += rows of the table for the step's positions."""
        self.look_up(name, WORD=1, ADD=True)

    def place_images(self) -> None:
        """hidden = the rows of images, where they stand, if the chunk has any."""
        if self.buffers.images:
            from webllm_py.models.move_rows import move_rows  # not before it is needed

            row_map, table = self.buffers.images
            width = padded(self.config.hidden_size)
            moved = (table, self.buffers.zeros, row_map, self.buffers.hidden)
            self.dispatches.append(
                move_rows(moved, self.rows, columns=width, strides=(width, width))
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
        snippets = writer_snippets(self.kv_format)
        constants: dict[str, float] = {
            "HEADS": config.n_heads,
            "ROTARY": 0 if rope == "none" else config.rotary_dim,
            "FINE": FINE,
            **self.page_constants(),
        }
        if config.qkv_clip:
            constants["CLIP"] = config.qkv_clip
        if config.query_growth and config.rope_scaling:
            constants |= {
                "GROWTH": config.query_growth,
                "ORIGINAL": config.rope_scaling.original_context,
            }
        x = {"x": buffers.hidden}
        if config.qk_norm is None:
            self.linear(name, x, "rope_append", targets, snippets=snippets, **constants)
        else:
            self.linear(name, x, "store", {"y": buffers.qkv}, Y_STRIDE=config.qkv_rows)
            self.norm_heads(f"{name}_norm", targets, snippets, constants)
        if quantized:
            moved = {"rows": buffers.kv_rows, "step": buffers.step, "kv": buffers.kv[layer]}
            self.dispatches.append(quantize_rows(self.rows, moved, self.page_constants()))

    def norm_heads(
        self,
        name: str,
        targets: Mapping[str, Buffer],
        snippets: Mapping[str, str],
        constants: Mapping[str, float],
    ) -> None:
        """What rope_append does, of q, k and v whose q and k are normed first."""
        config = self.config
        whole = config.qk_norm == "whole"
        threads = self.tuning.reduce_threads if whole else 64
        _, weight = self.weights.vectors[name]
        self.dispatches.append(
            Dispatch(
                kernel(
                    "head_norm",
                    snippets={**snippets, "epilogue": "epilogue/rope_append"},
                    EPS=config.norm_eps,
                    WHOLE=whole,
                    OWN=config.qk_norm == "own",
                    X_STRIDE=config.qkv_rows,
                    LANES=threads,
                    THREADS=threads,
                    **constants,
                ),
                {"x": self.buffers.qkv, "weight": weight, **targets},
                (3 if whole else config.n_heads + 2 * config.n_kv_heads, self.rows, 1),
                name,
            )
        )

    def attend(self, layer: int, sinks_name: str) -> None:
        """The attention of q over the sequence's keys and values, for ``add_attended``.

        Args:
            sinks_name: a vector of scores without values, if there is one of that name.
        """
        _, sinks = self.weights.vectors.get(sinks_name, (None, None))
        attention = Attention(
            self.config,
            self.tuning,
            self.kv_format,
            self.page_constants(),
            self.buffers,
            layer,
            self.fused,
            sinks,
            images=self.config.whole_images and self.buffers.images is not None,
        )
        self.attentions.append(attention)
        if self.buffers.weights:
            seen = attention.weights(self.rows, self.buffers.weights, self.buffers.seen_keys)
            self.dispatches.append(seen)
        if self.fused:
            self.dispatches.append(attention.split(1))
        else:
            self.dispatches += attention.dispatches(self.rows)
        if self.config.output_gate:
            self.gate_attended()

    def gate_attended(self) -> None:
        """attended *= the sigmoid of the gates that were projected with its queries."""
        config, buffers = self.config, self.buffers
        width = config.n_heads * config.head_dim
        made = kernel(
            "gate_attended",
            WIDTH=width,
            X_STRIDE=config.qkv_rows,
            GATES_AT=config.qkv_rows - width,
            Y_STRIDE=padded(width),
        )
        bound = {"x": buffers.qkv, "y": buffers.attended}
        self.dispatches.append(Dispatch(made, bound, (-(-width // 64), self.rows, 1)))

    def add_attended(self, name: str, post_norm: str) -> None:
        """hidden += the projection of what ``attend`` left, as ``add_linear`` does it."""
        partial = self.buffers.partial
        together = self.fused and (
            name not in self.adapters or self.ahead(name, partial, norm=False) is not None
        )
        if self.fused and not together:
            self.dispatches.append(self.attentions[-1].combined(1))
        if not together:
            self.add_linear(name, self.buffers.attended, post_norm)
            return
        self.add_projected(
            name,
            {"partial": partial, "step": self.buffers.step},
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
        if not behind:
            constants |= self.residual_scale
        stride = padded(self.config.hidden_size)
        self.linear(
            name, sources, epilogue, {"y": target}, snippets=snippets, Y_STRIDE=stride, **constants
        )
        if behind:
            self.norm(post_norm, buffers.projected, buffers.hidden, add=True)

    def add_weighted(self, name: str, source: Buffer) -> None:
        """hidden += the projection of ``source``, times the sigmoid of a row's last score."""
        config, buffers = self.config, self.buffers
        self.linear(
            name,
            {"x": source},
            "weighted_residual",
            {"y": buffers.hidden, "scores": buffers.scores},
            Y_STRIDE=padded(config.hidden_size),
            SCORES=config.experts_scored,
            RESIDUAL_SCALE=config.residual_scale,
        )

    def gated_linear(self, name: str, target: Buffer) -> None:
        """target = activated(gate) * up of the normed hidden rows."""
        self.widen(name, "glu", target, self.rows_of(name) // 2)

    def gate_linears(self, gate: str, up: str, target: Buffer) -> None:
        """``gated_linear`` from two matrices."""
        source, stride = {"x": self.buffers.hidden}, padded(self.rows_of(gate))
        self.linear(gate, source, "store", {"y": target}, Y_STRIDE=stride)
        self.widen(up, "gate", target, self.rows_of(up))

    def activated_linear(self, name: str, target: Buffer) -> None:
        """target = activated(projection) of the normed hidden rows."""
        self.widen(name, "activate", target, self.rows_of(name))

    def widen(self, name: str, epilogue: str, target: Buffer, size: int) -> None:
        """target = what an activation's epilogue makes of the normed hidden rows, in rows of
        ``size``."""
        source, stride = {"x": self.buffers.hidden}, padded(size)
        self.linear(
            name, source, epilogue, {"y": target}, snippets=self.activation, Y_STRIDE=stride
        )

    def rows_of(self, name: str) -> int:
        """How many rows a matrix has."""
        matrix, _ = self.weights.matrices[name]
        return matrix.rows

    def steer(self, layer: int) -> None:
        """hidden += what is added after the layer, if anything is."""
        if layer in self.buffers.steering:
            blocks = padded(self.config.hidden_size) // 32
            bound = {"vector": self.buffers.steering[layer], "x": self.buffers.hidden}
            groups = (-(-blocks * 8 // 64), self.rows, 1)
            self.dispatches.append(Dispatch(kernel("steer", BLOCKS=blocks), bound, groups))

    @property
    def residual_scale(self) -> dict[str, float]:
        """The constant that scales what is added to the hidden rows; empty for 1."""
        scale = self.config.residual_scale
        return {"RESIDUAL_SCALE": scale} if scale != 1 else {}

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
            LOGIT_SCALE=self.config.logit_scale,
        )
