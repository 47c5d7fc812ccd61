"""A decoder's hyper-parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.counts import check_count
from webllm_py.models.recurrence import Recurrence
from webllm_py.models.rope_scaling import RopeScaling

__all__ = ["Activation", "LayerKind", "ModelConfig"]

Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh"]
"""A file of kernels/activation."""


@dataclass(frozen=True)
class LayerKind:
    """What may differ from layer to layer.

    Attributes:
        window: size of the sliding window: keys that a position attends to, its own included; 0 for
            all.
        rope: which RoPE queries and keys get.
        recurrent: whether the layer keeps a state (``ModelConfig.recurrence``) instead of having
            attention.
    """

    window: int = 0
    rope: Literal["global", "local", "none"] = "global"
    recurrent: bool = False


@dataclass(frozen=True)
class ModelConfig:
    """Hyper-parameters of a decoder. The defaults are Llama's.

    Attributes:
        context_length: positions that it was trained for, with its RoPE scaling.
        rotary_dim: leading elements of a head that are rotated.
        adjacent_pairs: whether the file's rows of q and k have RoPE's pairs side by side (some GGUF
            files, a few families) rather than half a head apart (all others).
        layer_kinds: of each layer; empty if all are ``LayerKind()``.
        local_rope_theta: RoPE's theta in layers whose ``rope`` is "local".
        activation: of the MLP.
        norm: RMSNorm or LayerNorm.
        norm_plus: what is added to the norms' stored weights (Gemma's 1).
        gated: whether the MLP is gated (GLU, arXiv 2002.05202).
        parallel: whether the MLP's input is the layer's own, as attention's is.
        n_experts, n_experts_used, expert_size: of mixtures of experts, in layers that have a
            router: how many there are, how many a token goes to, and their intermediate size.
        experts_normalized: whether the weights of a token's experts are scaled to add up to 1.
        experts_scoring: what makes weights of a token's experts of their scores.
        experts_scale: factor of these weights.
        experts_alternate: whether a tensor of gates and ups has rows of both in turn, rather than
            all of an expert's gates and then its ups.
        shared_expert: whether every token also goes to one expert of the same size, weighted by the
            sigmoid of a score of its own (arXiv 2401.06066).
        beside_size: intermediate size of an MLP beside the mixture, whose answer to every token is
            added (Granite's shared experts); 0 for none.
        beside_weighted: whether that answer is weighted by the sigmoid of a score of its own, as
            that of a shared expert is (Qwen2's).
        glu_limit: the bound that gpt-oss clamps experts' gate and up to; 0 for none.
        sinks: whether each head has a learned score that takes part in the softmax without a value
            (gpt-oss).
        learned_positions: whether there is a table of position embeddings.
        qkv_by_head: whether a joint tensor of q, k and v has these head by head.
        qk_norm: the norm of queries and keys: "head": RMSNorm of each head; "whole": RMSNorm of all
            heads together; "own": LayerNorm of each head, with weights for each.
        qkv_clip: the bound that queries, keys and values are clamped to before rotation; 0: none.
        pre_norm, post_norm: whether attention and MLP have a norm before them, and after them.
        embedding_scale: factor of the embedding table's rows.
        residual_scale: factor of what attention and MLP add to the residual stream.
        logit_scale: factor of the logits.
        attention_scale: factor of attention scores; 0 for 1 / sqrt(head_dim).
        query_growth: Llama 4's attention temperature: queries are multiplied by
            1 + query_growth * log(1 + position // original context length).
        attention_softcap, output_softcap: softcap of attention scores, and of logits (arXiv
            2408.00118); 0 for none.
        output_gate: whether attention's result is multiplied by the sigmoid of gates, which are
            projected with the queries: in each head the gates follow the query.
        recurrence: what layers without attention are, and their sizes; None if there are none.
        whole_images: whether rows of an image attend to all of that image, the rows behind them
            included.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    rotary_dim: int
    norm_eps: float
    context_length: int
    rope_theta: float
    rope_scaling: RopeScaling | None
    adjacent_pairs: bool
    layer_kinds: tuple[LayerKind, ...] = ()
    local_rope_theta: float = 10000.0
    activation: Activation = "silu"
    norm: Literal["rms", "layer"] = "rms"
    norm_plus: float = 0.0
    gated: bool = True
    parallel: bool = False
    n_experts: int = 0
    n_experts_used: int = 0
    expert_size: int = 0
    experts_normalized: bool = True
    experts_scoring: Literal["softmax", "sigmoid"] = "softmax"
    experts_scale: float = 1.0
    experts_alternate: bool = False
    shared_expert: bool = False
    beside_size: int = 0
    beside_weighted: bool = False
    glu_limit: float = 0.0
    sinks: bool = False
    learned_positions: bool = False
    qkv_by_head: bool = False
    qk_norm: Literal["head", "whole", "own"] | None = None
    qkv_clip: float = 0.0
    pre_norm: bool = True
    post_norm: bool = False
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    attention_scale: float = 0.0
    query_growth: float = 0.0
    attention_softcap: float = 0.0
    output_softcap: float = 0.0
    output_gate: bool = False
    recurrence: Recurrence | None = None
    whole_images: bool = False

    def __post_init__(self) -> None:
        for name in COUNTS:
            check_count(name, getattr(self, name))
        for name in (*POSITIVE, *NOT_NEGATIVE):
            value = getattr(self, name)
            least = 0 if name in NOT_NEGATIVE else 1e-300
            if not isinstance(value, (int, float)) or not least <= value < float("inf"):
                raise CorruptCheckpointError(f"the checkpoint says {name} = {value!r}")
        self.check_attention()
        if self.n_experts:
            self.check_experts()

    def check_attention(self) -> None:
        """Refuse heads, rotations and windows that contradict each other, or have no kernels."""
        if self.n_heads % self.n_kv_heads:
            raise CorruptCheckpointError(
                f"{self.n_heads} query heads cannot share {self.n_kv_heads} key-value heads evenly"
            )
        if self.head_dim % 8 or self.head_dim > 256:
            raise UnsupportedModelError(
                f"heads of {self.head_dim} elements are not supported: it must be a multiple of 8, "
                "at most 256"
            )
        if self.rotary_dim % 2 or self.rotary_dim > self.head_dim:
            raise CorruptCheckpointError(
                f"rotary embedding over {self.rotary_dim} of a head's {self.head_dim} elements"
            )
        if self.layer_kinds and len(self.layer_kinds) != self.n_layers:
            raise CorruptCheckpointError(
                f"the checkpoint tells the kinds of {len(self.layer_kinds)} layers, and has "
                f"{self.n_layers}"
            )
        for kind in self.layer_kinds:
            window = kind.window
            if not isinstance(window, int) or isinstance(window, bool) or not 0 <= window < 2**31:
                raise CorruptCheckpointError(f"the checkpoint says sliding_window = {window!r}")

    def check_experts(self) -> None:
        """Refuse mixtures of experts that have no kernels."""
        beside = ("beside_size",) if self.beside_size else ()
        for name in ("n_experts", "n_experts_used", "expert_size", *beside):
            check_count(name, getattr(self, name))
        if self.n_experts_used > min(16, self.n_experts):
            raise UnsupportedModelError(
                f"{self.n_experts_used} of {self.n_experts} experts a token are not supported: at "
                "most 16 are, and no more than there are"
            )
        if self.expert_size % 4 or self.hidden_size % 4:
            raise UnsupportedModelError(
                f"experts of {self.hidden_size} x {self.expert_size} elements are not supported: "
                "both must be multiples of 4"
            )

    def kind(self, layer: int) -> LayerKind:
        """A layer's kind."""
        return self.layer_kinds[layer] if self.layer_kinds else LayerKind()

    @property
    def all_experts(self) -> int:
        """How many experts there are, a shared one included."""
        return self.n_experts + self.shared_expert

    @property
    def experts_a_row(self) -> int:
        """How many experts a token goes to, a shared one included."""
        return self.n_experts_used + self.shared_expert

    @property
    def experts_scored(self) -> int:
        """How many scores a token has: one for each expert, and one for what all tokens go to."""
        return self.n_experts + (self.shared_expert or self.beside_weighted)

    @property
    def recurrent(self) -> bool:
        """Whether some layers have a recurrent state instead of keys and values."""
        return any(kind.recurrent for kind in self.layer_kinds)

    def state_bytes(self, layer: int) -> int:
        """Bytes of a sequence's state of a layer; 0 where it has keys and values."""
        if not self.kind(layer).recurrent:
            return 0
        assert self.recurrence
        return self.recurrence.state_bytes

    @property
    def qkv_rows(self) -> int:
        """Rows of the projection to q, k and v, and to attention's gates."""
        gates = self.n_heads if self.output_gate else 0
        return (self.n_heads + 2 * self.n_kv_heads + gates) * self.head_dim


COUNTS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "n_layers",
    "n_heads",
    "n_kv_heads",
    "head_dim",
    "rotary_dim",
    "context_length",
)
POSITIVE = (
    "norm_eps",
    "rope_theta",
    "local_rope_theta",
    "embedding_scale",
    "residual_scale",
    "logit_scale",
    "experts_scale",
)
NOT_NEGATIVE = (
    "glu_limit",
    "attention_scale",
    "query_growth",
    "qkv_clip",
    "attention_softcap",
    "output_softcap",
)
