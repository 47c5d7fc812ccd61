"""The declaration of decoders of all families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.models.config import ModelConfig
from webllm_py.models.declaration import Declaration
from webllm_py.models.graph import Graph
from webllm_py.models.layer import Layer
from webllm_py.models.rope import Rotation, inverse_frequencies
from webllm_py.models.tensors import norm_parts
from webllm_py.models.weights import Matrix, Part, Vector

if TYPE_CHECKING:
    from webllm_py.models.vision import VisionModel

__all__ = ["Transformer"]


@dataclass(frozen=True)
class Transformer(Declaration):
    """Which tensors make which matrices, and the pass over them.

    Attributes:
        vision: of a model that reads images too, what makes rows of them.
    """

    config: ModelConfig
    tensors: Mapping[str, TensorInfo]
    vision: VisionModel | None = None

    def __post_init__(self) -> None:
        self.check_all_used(self.config.architecture, ROPE_TENSORS)

    @property
    def all_tensors(self) -> list[TensorInfo]:
        seeing = self.vision.tensors.values() if self.vision else ()
        return [*self.tensors.values(), *seeing]

    @property
    def together(self) -> int:
        """Tokens of a prompt that have to be computed at once: those of an image, in models whose
        images' rows attend to all of it."""
        return self.vision.config.merged if self.vision and self.config.whole_images else 1

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return [Layer(self.config, self.checked, i) for i in range(self.config.n_layers)]

    @property
    def tied(self) -> bool:
        """Whether one table serves as embedding and output layer."""
        return not {"token_embd.weight", "output.weight"} <= set(self.tensors)

    @property
    def n_active_parameters(self) -> int:
        """Numbers that a token has to do with: of experts, those of the ones that it goes to."""
        c = self.config
        experts = sum(m.rows * m.columns for m in self.matrices() if m.together > 1)
        idle = c.all_experts - c.experts_a_row
        return self.n_parameters - (experts // c.all_experts * idle if experts else 0)

    def matrices(self) -> list[Matrix]:
        """Every matrix, in the order of the pass."""
        embedding = "token_embd.weight" if "token_embd.weight" in self.tensors else "output.weight"
        made = [self.table("token_embd", embedding)]
        if self.config.learned_positions:
            made.append(self.positions())
        for layer in self.layers:
            made += layer.matrices()
        if not self.tied:
            made.append(self.table("output", "output.weight"))
        return made

    def table(self, name: str, tensor: str) -> Matrix:
        """A matrix with a row for each token."""
        shape = (self.config.vocab_size, self.config.hidden_size)
        return Matrix(name, *shape, (Part(self.checked.shaped(tensor, *shape)),))

    def vectors(self) -> list[Vector]:
        """Norm weights and biases; see ``Layer.vectors``."""
        c = self.config
        made = [vector for layer in self.layers for vector in layer.vectors()]
        norm = norm_parts(c, self.checked, "output_norm")
        biased = "output.bias" in self.tensors
        biases = (Part(self.checked.shaped("output.bias", c.vocab_size)),) if biased else ()
        name = "token_embd" if self.tied else "output"
        made.append(Vector(name, c.hidden_size, norm, c.vocab_size, biases))
        return made

    def positions(self) -> Matrix:
        """The table of positions."""
        shape = (self.config.context_length, self.config.hidden_size)
        return Matrix("position_embd", *shape, (Part(self.checked.shaped(POSITIONS, *shape)),))

    def rope_factors(self, context_length: int) -> TensorInfo | None:
        """Divisors of the rotary frequencies that the file itself carries: GGUF's, of Llama 3.1 and
        of longrope, which has others for a longer context than the original one."""
        c = self.config
        original = c.rope_scaling.original_context if c.rope_scaling else c.context_length
        by_length = LONG if context_length > original else SHORT
        for name in (ROPE, by_length):
            if name in self.tensors:
                return self.checked.shaped(name, c.rotary_dim // 2)
        return None

    def rotations(
        self, context_length: int, factors: Sequence[float] | None = None
    ) -> dict[str, Rotation]:
        """How queries and keys are rotated, by ``LayerKind.rope``.

        Args:
            context_length: the most positions that a sequence may have.
            factors: what ``rope_factors`` holds.
        """
        c, scaling = self.config, self.config.rope_scaling
        factors = factors or (scaling.factors(context_length) if scaling else None)
        frequencies = inverse_frequencies(c.rotary_dim, c.rope_theta, scaling, factors)
        made = {"global": Rotation(frequencies, scaling.length if scaling else 1.0)}
        if any(kind.rope == "local" for kind in c.layer_kinds):
            made["local"] = Rotation(inverse_frequencies(c.rotary_dim, c.local_rope_theta))
        return made

    def forward(self, g: Graph) -> None:
        """Tokens to hidden rows."""
        self.embed(g)
        for index in range(self.config.n_layers):
            self.layer(g, index)

    def embed(self, g: Graph) -> None:
        """Tokens to the rows that go into the first layer."""
        g.embed("token_embd")
        if self.config.learned_positions:
            g.embed_positions("position_embd")
        g.place_images()

    def layer(self, g: Graph, index: int) -> None:
        """Hidden rows through a layer."""
        self.layers[index].forward(g)
        g.steer(index)

    def head(self, g: Graph) -> None:
        """Hidden rows to logits."""
        g.output("token_embd" if self.tied else "output")

    def last_norm(self, g: Graph) -> None:
        """Hidden rows to normed ones, which logits are made of: those that embedders pool."""
        g.norm("token_embd" if self.tied else "output", g.buffers.hidden, g.buffers.normed)


POSITIONS = "position_embd.weight"
ROPE = "rope_freqs.weight"
LONG, SHORT = "rope_factors_long.weight", "rope_factors_short.weight"
ROPE_TENSORS = (ROPE, LONG, SHORT)
