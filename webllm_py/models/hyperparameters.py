"""A checkpoint's hyper-parameters, from any kind of file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from webllm_py.checkpoint.checkpoint import Checkpoint
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError

__all__ = ["HyperParameters", "check_layers", "sound_values"]


class HyperParameters:
    """Hyper-parameters by the names of either format.

    Args:
        renamed: what a family's config.json calls the keys that most others call so.
        defaults: a family's own, of such keys.

    Attributes:
        gguf: whether they are GGUF's ``<architecture>.*`` keys (its specification, "Standardized
            key-value pairs"), or else config.json's.
        as_transformers: whether tensors hold what transformers saves, Gemma's norms less 1 for one.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        renamed: Mapping[str, str] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ):
        self.architecture = checkpoint.architecture
        self.metadata = checkpoint.metadata
        self.gguf = checkpoint.kind == "gguf"
        self.as_transformers = checkpoint.kind == "huggingface"
        self.renamed, self.defaults = renamed or {}, defaults or {}

    def get(self, huggingface: str, gguf: str, *default: Any) -> Any:
        """A value: ``huggingface`` of config.json, or ``gguf`` after the architecture's name.

        Raises:
            CorruptCheckpointError: it is not there, and there is no default.
        """
        name = self.renamed.get(huggingface, huggingface)
        value = self.metadata.get(f"{self.architecture}.{gguf}" if self.gguf else name)
        if value is not None:
            return value
        if not self.gguf and huggingface in self.defaults:
            found = self.defaults[huggingface]
            if callable(found):
                return found(self)
            if name not in self.metadata:  # null is no default: it says that there is none
                return found
        if not default:
            raise CorruptCheckpointError(
                f"the GGUF file lacks the key {self.architecture}.{gguf}"
                if self.gguf
                else f"config.json lacks {name}"
            )
        return default[0]

    def of_all(self, huggingface: str, gguf: str, *default: Any) -> Any:
        """A value that all layers have; GGUF files may say it of each, as Granite 4's do, and 0 of
        those that have none.

        Raises:
            CorruptCheckpointError: as ``get``.
            UnsupportedModelError: layers have different ones.
        """
        value = self.get(huggingface, gguf, *default)
        if not isinstance(value, list) or not any(value):
            return value
        first, *others = filter(None, value)
        if others.count(first) < len(others):
            name = gguf if self.gguf else huggingface
            raise UnsupportedModelError(f"layers with different values of {name} are not supported")
        return first

    def count(self, huggingface: str, gguf: str, *default: Any) -> int:
        """A positive whole number, which others are made of."""
        value = self.of_all(huggingface, gguf, *default)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise CorruptCheckpointError(
                f"the checkpoint says the {MEANT.get(huggingface, huggingface)} is {value!r}"
            )
        return value

    @property
    def layers(self) -> int:
        """How many layers there are, without those that draft tokens to come."""
        layers = self.count("num_hidden_layers", "block_count")
        drafts = self.get("", "nextn_predict_layers", 0) if self.gguf else 0
        if not isinstance(drafts, int) or not 0 <= drafts < layers:
            raise CorruptCheckpointError(
                f"the checkpoint says that {drafts!r} of its {layers} layers draft tokens"
            )
        return layers - drafts

    @property
    def hidden(self) -> int:
        """Elements of a row between layers."""
        return self.count("hidden_size", "embedding_length")

    @property
    def ropes(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """config.json's ``rope_parameters``, of full and of sliding attention.

        transformers 5 gathers there what were single keys, beside ``rope_scaling``; families with
        two kinds of attention have one such dictionary for each.
        """
        rope = {} if self.gguf else self.metadata.get("rope_parameters")
        rope = rope or self.get("rope_scaling", "", None) or {}
        if not isinstance(rope, Mapping):
            raise CorruptCheckpointError(f"config.json has rope_scaling = {rope!r}")
        if "full_attention" in rope or "sliding_attention" in rope:
            return rope.get("full_attention") or {}, rope.get("sliding_attention") or {}
        return rope, {}

    @property
    def told_sliding(self) -> list[bool] | None:
        """Which layers have a sliding window, where the file says it of each."""
        pattern = self.get("", "attention.sliding_window_pattern", None) if self.gguf else None
        types = pattern if self.gguf else self.metadata.get("layer_types")
        if not isinstance(types, list):
            return None
        return [kind in (True, "sliding_attention") for kind in types]

    def sliding(self, every: int) -> list[bool]:
        """Which layers have a sliding window: those that the file says, else all but the last of
        so many as it says, or of ``every``."""
        if told := self.told_sliding:
            return told
        pattern = self.get("sliding_window_pattern", "attention.sliding_window_pattern", every)
        return [bool((i + 1) % pattern) for i in range(self.layers)]


MEANT = {"hidden_size": "hidden size", "num_attention_heads": "number of heads"}


@contextmanager
def sound_values() -> Iterator[None]:
    """Turn what values of a wrong kind do to arithmetic into CorruptCheckpointError."""
    try:
        yield
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise CorruptCheckpointError(
            f"one of the checkpoint's own numbers is of a kind that it cannot be: {error}"
        ) from error


def check_layers(count: int, tensors: Collection[str]) -> None:
    """Refuse more layers than there can be, before each is looked for."""
    if count > len(tensors):
        raise CorruptCheckpointError(
            f"the checkpoint says that it has {count} layers, but it holds {len(tensors)} tensors"
        )
