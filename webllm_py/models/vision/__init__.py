"""Vision in models that read text and images: a vision tower, and its projector.

Imported for models that have one.
"""

from __future__ import annotations

from webllm_py.checkpoint.checkpoint import VisionPart
from webllm_py.errors import UnsupportedModelError
from webllm_py.models.vision.gemma3 import gemma3
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
        if projector not in PROJECTORS:
            raise UnsupportedModelError(
                f"the projector file is of type {projector!r}; this version runs 'idefics3' "
                "(SmolVLM, SmolVLM2, Idefics3) and 'gemma3'"
            )
        return PROJECTORS[projector](part, text_hidden)
    return FAMILIES[part.architecture](part, text_hidden)


PROJECTORS = {"idefics3": smolvlm, "gemma3": gemma3}
FAMILIES = {"idefics3": smolvlm, "smolvlm": smolvlm, "gemma3": gemma3, "phi3_v": phi3_v}
