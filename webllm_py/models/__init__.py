"""Architecture families: a config, and a short declaration each."""

from __future__ import annotations

from webllm_py.checkpoint.checkpoint import Checkpoint
from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import config_of
from webllm_py.models.llama import Llama
from webllm_py.models.names import gguf_names

__all__ = ["ARCHITECTURES", "ENCODERS", "model_for"]

# GGUF's general.architecture and config.json's model_type, which agree for these.
ARCHITECTURES = {"llama": Llama, "qwen2": Llama}

# Those of text encoders: ``models.bert.encoder_for``.
ENCODERS = ("bert", "roberta", "xlm-roberta")


def model_for(checkpoint: Checkpoint) -> Llama:
    """The declaration of a checkpoint's model, its tensors checked against its numbers.

    Raises:
        UnsupportedModelError: an architecture that this version does not run.
        CorruptCheckpointError: numbers or tensors that contradict each other.
    """
    family = ARCHITECTURES.get(checkpoint.architecture)
    if family is None:
        raise UnsupportedModelError(
            f"the architecture {checkpoint.architecture!r} is not supported; this version runs "
            f"{', '.join(ARCHITECTURES)}, and as text embedders {', '.join(ENCODERS)}"
        )
    tensors = dict(checkpoint.tensors)
    if checkpoint.kind != "gguf":
        tensors = gguf_names(tensors)
        if checkpoint.metadata.get("tie_word_embeddings") and "token_embd.weight" in tensors:
            tensors.pop("output.weight", None)  # some exporters store the tied table twice
    return family(config_of(checkpoint, tensors), tensors)
