"""Matrices in MXFP4 as gpt-oss's safetensors have them: codes in one tensor, scales in another.

A row's codes come in blocks of 32, 16 bytes each, element 2i in the low half of byte i; a block's
scale is a byte, its exponent (Open Compute's Microscaling Formats 1.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from webllm_py.checkpoint.checkpoint import TensorFormat, TensorInfo
from webllm_py.errors import CorruptCheckpointError

__all__ = ["BYTE", "CODES", "METHOD", "SCALES", "joined"]

METHOD = "mxfp4"
"""What config.json calls the quantization."""
CODES, SCALES = "_blocks", "_scales"
"""How the names of both tensors end."""
BYTE = TensorFormat("U8", 1, 1)
FORMAT = TensorFormat("MXFP4_HF", 32, 16)


def joined(tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """The tensors, with one (experts, rows, columns) in the place of each pair.

    Raises:
        CorruptCheckpointError: one without the other, or of other shapes.
    """
    found = dict(tensors)
    for name, codes in tensors.items():
        if not name.endswith(CODES):
            continue
        stem = name.removesuffix(CODES)
        scales = found.pop(f"{stem}{SCALES}", None)
        if scales is None or len(codes.shape) != 4 or codes.shape != (*scales.shape, 16):
            raise CorruptCheckpointError(
                f"the tensor {name} of shape {codes.shape} has scales of shape "
                f"{scales and scales.shape}"
            )
        del found[name]
        *several, groups, _ = codes.shape
        shape, companions = (*several, 32 * groups), {"scales": scales}
        found[stem] = replace(codes, shape=shape, format=FORMAT, companions=companions)
    return found
