"""Architecture families: a config, and a short declaration each."""

from __future__ import annotations

from collections.abc import Collection

from webllm_py.checkpoint.checkpoint import BARE, Checkpoint, TensorInfo
from webllm_py.errors import UnsupportedModelError
from webllm_py.models.families import ENCODERS, family_of
from webllm_py.models.family import config_of
from webllm_py.models.names import MLC_NAMES, MLC_PREFIX, gguf_names
from webllm_py.models.transformer import Transformer

__all__ = ["ENCODERS", "model_for"]


def model_for(checkpoint: Checkpoint) -> Transformer:
    """The declaration of a checkpoint's model, its tensors checked against its config.

    Raises:
        UnsupportedModelError: an architecture that this version does not run.
        CorruptCheckpointError: hyper-parameters or tensors that contradict each other.
    """
    family = family_of(checkpoint.architecture)
    if checkpoint.kind == "mlc" and not family.in_mlc:
        raise UnsupportedModelError(
            f"MLC folders of {checkpoint.architecture} are not supported; take the model's GGUF "
            "file or Hugging Face folder"
        )
    tensors = dict(checkpoint.tensors)
    if checkpoint.kind == "gguf":
        tensors = gguf_names(tensors, family.gguf_names)
    else:
        names = family.names
        if checkpoint.kind == "mlc":
            names = {**MLC_NAMES, **names}
            tensors = {name.removeprefix(MLC_PREFIX): t for name, t in tensors.items()}
        if BARE in tensors:
            tensors = {f"model.{name}": tensor for name, tensor in tensors.items()}
        tensors = gguf_names(tensors, names)
        if family.transposed:
            turn(tensors, family.transposed)
        if checkpoint.metadata.get("tie_word_embeddings") and "token_embd.weight" in tensors:
            tensors.pop("output.weight", None)  # some exporters store the tied table twice
    config = config_of(checkpoint, tensors, family)
    if checkpoint.kind == "gguf":
        # Layers behind the last one draft tokens to come, which is not done here.
        drafts = checkpoint.metadata.get(f"{checkpoint.architecture}.nextn_predict_layers", 0)
        behind = tuple(f"blk.{config.n_layers + i}." for i in range(drafts))
        tensors = {name: t for name, t in tensors.items() if not name.startswith(behind)}
    vision = None
    if checkpoint.vision:
        from webllm_py.models.vision import vision_for  # few models see

        vision = vision_for(checkpoint.vision, config.hidden_size)
    return Transformer(config, tensors, vision)


def turn(tensors: dict[str, TensorInfo], names: Collection[str]) -> None:
    """Put the transpose in the place of matrices of these names, whatever their layer."""
    from webllm_py.checkpoint.transposed import transposed  # a few families' files need it

    for name, tensor in tensors.items():
        stored_so = tensor.format.block_size == 1  # quantized ones are in order
        if stored_so and name.endswith(".weight") and name.split(".")[-2] in names:
            tensors[name] = transposed(tensor)
