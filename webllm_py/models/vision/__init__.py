"""Vision in models that read text and images: a vision tower, and its projector.

Imported for models that have one.
"""

from __future__ import annotations

from webllm_py.checkpoint.checkpoint import VisionPart
from webllm_py.errors import UnsupportedModelError
from webllm_py.models.vision.phi3_v import phi3_v
from webllm_py.models.vision.smolvlm import smolvlm
from webllm_py.models.vision.tower import VisionModel

__all__ = ["VisionModel", "vision_for"]


def vision_for(part: VisionPart, text_hidden: int) -> VisionModel:
    """The declaration of a checkpoint's seeing part, its tensors checked against its config.

    Args:
        text_hidden: elements of the text part's rows between layers.

    Raises:
        UnsupportedModelError: an option that this version does not run.
        CorruptCheckpointError: hyper-parameters or tensors that contradict each other.
    """
    if part.kind == "gguf":
        projector = part.metadata.get("clip.projector_type")
        projector = part.metadata.get("clip.vision.projector_type", projector)
        if projector != "idefics3":
            raise UnsupportedModelError(
                f"the projector file is of type {projector!r}; this version runs 'idefics3' "
                "(SmolVLM, SmolVLM2, Idefics3)"
            )
    make = phi3_v if part.architecture == "phi3_v" else smolvlm
    return make(part, text_hidden)
