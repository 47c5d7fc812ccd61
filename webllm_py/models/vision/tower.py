"""A seeing part's declaration: which tensors make which matrices, and its passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.images.layout import Layout, Processor
from webllm_py.models.declaration import Declaration
from webllm_py.models.move_rows import MORE_AT
from webllm_py.models.vision.config import VisionConfig
from webllm_py.models.vision.graph import VisionGraph, patch_columns
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["SEPARATORS", "Projection", "VisionModel", "flat_patches", "tower_names"]


@dataclass(frozen=True)
class Projection:
    """A linear layer of what joins the tower to the text model.

    Attributes:
        activation: a file of kernels/activation; empty for none.
    """

    name: str
    columns: int
    activation: str = ""


@dataclass(frozen=True)
class VisionModel(Declaration):
    """A vision tower and its projections.

    Attributes:
        tensors: by the names of llama.cpp's projector files.
        projections: in order; the last one gives the text model's rows.
        tiles: most tiles whose features are needed at once.
        separators: whether there are rows that stand between those of an image, those of
            ``SEPARATORS``.
        norm: the RMSNorm of rows before the first projection; empty for none.
        norm_plus: what is added to its stored weight.
    """

    config: VisionConfig
    tensors: Mapping[str, TensorInfo]
    processor: Processor
    projections: tuple[Projection, ...]
    tiles: int = 1
    separators: bool = False
    norm: str = ""
    norm_plus: float = 0.0

    def __post_init__(self) -> None:
        self.check_all_used(self.config.architecture)

    def matrices(self) -> list[Matrix]:
        """Every matrix, in the order of the pass."""
        c = self.config
        made = [self.plain_matrix("v.patch_embd", c.hidden_size, patch_columns(c))]
        if c.class_token:
            made.append(self.plain_matrix("v.class_embd", 1, c.hidden_size))
        made.append(self.plain_matrix("v.position_embd", c.length, c.hidden_size))
        for i in range(c.n_layers):
            layer = f"v.blk.{i}"
            made += [
                Matrix(f"{layer}.qkv", 3 * c.hidden_size, c.hidden_size, self.qkv(i, "weight")),
                self.plain_matrix(f"{layer}.attn_out", c.hidden_size, c.hidden_size),
                self.plain_matrix(f"{layer}.ffn_up", c.intermediate_size, c.hidden_size),
                self.plain_matrix(f"{layer}.ffn_down", c.hidden_size, c.intermediate_size),
            ]
        for each in self.projections:
            made.append(self.plain_matrix(each.name, c.text_hidden, each.columns))
        return made

    def plain_matrix(self, name: str, rows: int, columns: int) -> Matrix:
        """A matrix that is one tensor."""
        tensor = self.checked.shaped(f"{name}.weight", rows, columns)
        return Matrix(name, rows, columns, (Part(tensor),))

    def qkv(self, layer: int, kind: str) -> tuple[Part, ...]:
        """q, k and v of one kind (weight or bias), below each other."""
        hidden = self.config.hidden_size
        shape = (hidden, hidden) if kind == "weight" else (hidden,)
        return tuple(
            Part(self.checked.shaped(f"v.blk.{layer}.attn_{name}.{kind}", *shape), i * hidden)
            for i, name in enumerate("qkv")
        )

    def vectors(self) -> list[Vector]:
        """Biases by the matrix that they go with; norms by their own names."""
        c = self.config
        made = [*self.bias("v.patch_embd", c.hidden_size)]
        norms = ["v.pre_ln"] * c.pre_norm + ["v.post_ln"] * c.post_norm
        for i in range(c.n_layers):
            layer = f"v.blk.{i}"
            made += [
                Vector(f"{layer}.qkv", rows=3 * c.hidden_size, biases=self.qkv(i, "bias")),
                *self.bias(f"{layer}.attn_out", c.hidden_size),
                *self.bias(f"{layer}.ffn_up", c.intermediate_size),
                *self.bias(f"{layer}.ffn_down", c.hidden_size),
            ]
            norms += [f"{layer}.ln1", f"{layer}.ln2"]
        for each in self.projections:
            made += self.bias(each.name, c.text_hidden)
        if self.separators:
            rows = c.merge**2 * c.hidden_size
            parts = (self.checked.shaped(name, rows) for name in SEPARATORS)
            biases = tuple(Part(tensor, i * rows) for i, tensor in enumerate(parts))
            made.append(Vector("separators", rows=len(SEPARATORS) * rows, biases=biases))
        if self.norm:
            weight = Part(self.checked.shaped(f"{self.norm}.weight", c.joined), plus=self.norm_plus)
            made.append(Vector(self.norm, c.joined, (weight,)))
        return made + [self.layer_norm(name) for name in norms]

    def bias(self, name: str, rows: int) -> list[Vector]:
        """A matrix's bias, if it has one."""
        if f"{name}.bias" not in self.tensors:
            return []
        return [Vector(name, rows=rows, biases=(Part(self.checked.shaped(f"{name}.bias", rows)),))]

    def layer_norm(self, name: str) -> Vector:
        """A LayerNorm: its weight and its bias."""
        hidden = self.config.hidden_size
        parts = (Part(self.checked.shaped(f"{name}.{kind}", hidden)) for kind in ("weight", "bias"))
        return Vector(name, hidden, tuple(parts))

    def see(self, g: VisionGraph) -> None:
        """A tile's patches to features."""
        g.embed()
        for i in range(self.config.n_layers):
            g.layer(f"v.blk.{i}")
        g.keep()

    def project(self, g: VisionGraph) -> None:
        """Features to rows of the text model, in ``projected``."""
        buffers = g.buffers
        if self.config.average:
            g.average()
        else:
            g.join(g.weights.vectors["separators"][1] if self.separators else buffers.tiles)
        source = buffers.joined
        if self.norm:
            g.norm_joined(self.norm)
            source = buffers.widened
        for each in self.projections:
            last = each is self.projections[-1]
            target = buffers.projected if last else buffers.widened
            g.project(each.name, source, target, each.activation)
            source = target

    def joints(self, layout: Layout) -> list[Sequence[int]]:
        """The features that each row of an image is joined of: numbers of patches, those of the
        second tile following the first one's."""
        c = self.config
        if layout.columns:
            return self._lines(layout)
        return [
            [tile * c.patches + patch for patch in square]
            for tile in range(len(layout.tiles))
            for square in squares(c.grid, c.grid, c.merge)
        ]

    def _lines(self, layout: Layout) -> list[Sequence[int]]:
        """Rows read across tiles that lie side by side, a separator behind each line; another one,
        then the last tile's own lines."""
        c = self.config
        side, pieces = c.grid // c.merge, c.merge**2
        line_end, image_end = (
            range(MORE_AT + i * pieces, MORE_AT + (i + 1) * pieces) for i in range(len(SEPARATORS))
        )
        inner = squares(c.grid, c.grid, c.merge)
        tiles = list(range(len(layout.tiles)))
        made: list[Sequence[int]] = []

        def add_lines(row_of_tiles: Sequence[int]) -> None:
            for line in range(side):
                for tile in row_of_tiles:
                    for square in inner[line * side : (line + 1) * side]:
                        made.append([tile * c.patches + patch for patch in square])
                made.append(line_end)

        for first in range(0, len(tiles) - 1, layout.columns):
            add_lines(tiles[first : first + layout.columns])
        made.append(image_end)
        add_lines(tiles[-1:])
        return made


SEPARATORS = ("v.sub_gn", "v.glb_gn")
"""What ends a line of rows, and what comes before the whole image's."""


def squares(width: int, height: int, merge: int) -> list[list[int]]:
    """The patches of each square, line by line, squares and patches both numbered so."""
    return [
        [(top + i) * width + left + j for i in range(merge) for j in range(merge)]
        for top in range(0, height, merge)
        for left in range(0, width, merge)
    ]


def tower_names(prefix: str) -> dict[str, str]:
    """GGUF's names of the tensors that transformers' CLIP and SigLIP towers have in common, by
    theirs; see ``gguf_names``."""
    layer = f"{prefix}.encoder.layers.{{}}"
    return {
        f"{prefix}.embeddings.patch_embedding": "v.patch_embd",
        f"{prefix}.embeddings.position_embedding": "v.position_embd",
        f"{layer}.layer_norm1": "v.blk.{}.ln1",
        f"{layer}.self_attn.q_proj": "v.blk.{}.attn_q",
        f"{layer}.self_attn.k_proj": "v.blk.{}.attn_k",
        f"{layer}.self_attn.v_proj": "v.blk.{}.attn_v",
        f"{layer}.self_attn.out_proj": "v.blk.{}.attn_out",
        f"{layer}.layer_norm2": "v.blk.{}.ln2",
        f"{layer}.mlp.fc1": "v.blk.{}.ffn_up",
        f"{layer}.mlp.fc2": "v.blk.{}.ffn_down",
        f"{prefix}.post_layernorm": "v.post_ln",
    }


def flat_patches(tensors: Mapping[str, TensorInfo], config: VisionConfig) -> dict[str, TensorInfo]:
    """The tensors, the patches' convolution (hidden, 3, patch, patch) as a matrix."""
    made, name = dict(tensors), "v.patch_embd.weight"
    shape = (config.hidden_size, 3, config.patch, config.patch)
    if name in made and made[name].shape == shape:
        made[name] = replace(made[name], shape=(config.hidden_size, patch_columns(config)))
    return made
