"""What trials multiply: a large matrix of the model whose input is the hidden rows.

It is what the first MLP begins with, where a layer has one. Where all have experts, it is the
largest of what the MLP beside them begins with, of the projection to queries, keys and values, and
of the projection to what layers with a state mix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.models.activations import Activations, padded
from webllm_py.models.graph import Graph
from webllm_py.models.layer import Layer
from webllm_py.models.mlp import MLP
from webllm_py.models.recurrent import RecurrentLayer
from webllm_py.models.transformer import Transformer
from webllm_py.models.weights import Matrix, Slice, Weights

__all__ = ["Sample", "sample_of"]


@dataclass(frozen=True)
class Sample:
    """A layer's matrix, or a gate and what it gates where these are stored apart.

    Attributes:
        target: the field of ``Activations`` that has the results.
        width: elements of a row there.
        seen: rows of a matrix whose results are there; those of others, of keys and values, go to
            pages.
        multiply: records it, and maybe what comes next.
    """

    matrices: tuple[Matrix, ...]
    target: str
    width: int
    seen: int
    multiply: Callable[[Graph], None]

    @property
    def elements(self) -> int:
        """How large it is."""
        return sum(matrix.rows * matrix.columns for matrix in self.matrices)

    @property
    def to_pages(self) -> bool:
        """Whether it writes to the cache."""
        return self.seen < self.matrices[0].rows

    def buffer(self, buffers: Activations) -> Buffer:
        """Where its results are."""
        found: Buffer = getattr(buffers, self.target)
        return found

    def slices(self, weights: Weights) -> list[Slice]:
        """Its slices."""
        return [part for matrix in self.matrices for part in weights.matrices[matrix.name][1]]

    def slices_seen(self, weights: Weights) -> list[Slice]:
        """Those whose results are in the target."""
        return [part for part in self.slices(weights) if part.row0 < self.seen]

    def dispatches(self, graph: Graph) -> list[Dispatch]:
        """The graph's, with those that make the results behind them."""
        self.multiply(graph)
        names = {matrix.name for matrix in self.matrices}
        last = max(i for i, made in enumerate(graph.dispatches) if made.label in names)
        return graph.dispatches[: last + 1]


def sample_of(model: Transformer) -> Sample:
    """A model's."""
    layers = model.layers
    if dense := [layer.mlp for layer in layers if not layer.experts]:
        return of_mlp(dense[0], "gated")
    attending = [layer for layer in layers if not layer.recurrent]
    recurrent = [layer.recurrent for layer in layers if layer.recurrent]
    beside = [layer.experts.beside for layer in layers if layer.experts and layer.experts.beside]
    found = [
        *(of_mlp(mlp, "gated_beside") for mlp in beside[:1]),
        *(of_attention(layer) for layer in attending[:1]),
        *(of_recurrent(layer) for layer in recurrent[:1]),
    ]
    return max(found, key=lambda sample: sample.elements)


def of_mlp(mlp: MLP, target: str) -> Sample:
    """The first half of an MLP."""
    matrices = tuple(mlp.gate_up_matrices())

    def multiply(graph: Graph) -> None:
        mlp.widen(graph, getattr(graph.buffers, target))

    return Sample(matrices, target, padded(mlp.size), matrices[0].rows, multiply)


def of_attention(layer: Layer) -> Sample:
    """The projection to queries, keys and values; rotated if their heads are not normed first."""
    config, matrix = layer.config, layer.attention_matrices()[0]

    def multiply(graph: Graph) -> None:
        graph.project_qkv(matrix.name, layer.index)

    if config.qk_norm:
        return Sample((matrix,), "qkv", matrix.rows, matrix.rows, multiply)
    queries = config.n_heads * config.head_dim
    return Sample((matrix,), "q", queries, queries, multiply)


def of_recurrent(layer: RecurrentLayer) -> Sample:
    """The projection to what a layer with a state mixes."""
    matrix = layer.matrices()[0]
    return Sample((matrix,), "mixed", matrix.rows, matrix.rows, layer.project)
