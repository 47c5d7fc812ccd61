"""How the KV cache keeps keys and values, by format: its size, and the kernels' snippets for it.

"f16" and "f32" are written by the projection itself. The scale of an 8-bit block is not known
before its last element is, so for "q8" the projection leaves rows, and one more dispatch takes them
to the pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from webllm_py.errors import DeviceLimitError
from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.config import ModelConfig
from webllm_py.models.step import PAGE

__all__ = [
    "KV_FORMATS",
    "KVFormat",
    "longest_context",
    "page_bytes",
    "quantize_rows",
    "reader_snippets",
    "row_bytes",
    "writer_snippets",
]

KVFormat: TypeAlias = Literal["f16", "f32", "q8"]
KV_FORMATS: tuple[KVFormat, ...] = get_args(KVFormat)

BLOCK = 32
# Of 8-bit elements a workgroup of kernels/kv_quantize.wgsl.
QUANTIZED_AT_ONCE = 8 * BLOCK


def page_bytes(config: ModelConfig, kv_format: KVFormat) -> int:
    """Bytes of one page of one layer's cache."""
    width = config.n_kv_heads * config.head_dim
    match kv_format:
        case "f16":
            position = 2 * 2 * width
        case "f32":
            position = 2 * 4 * width
        case "q8":
            # A float16 scale for every block of keys and of values.
            position = 2 * (width + 2 * -(-width // BLOCK))
    return PAGE * position


def longest_context(config: ModelConfig, device: Device, kv_format: KVFormat) -> int:
    """The longest context whose cache one binding of the device can hold.

    Raises:
        DeviceLimitError: not even one page fits.
    """
    limit = device.limits.most_bound
    positions = limit // page_bytes(config, kv_format) * PAGE
    if not positions:
        raise DeviceLimitError(
            f"a page of this model's cache does not fit in the {limit >> 20} MiB that "
            f"{device.info.name} binds at once"
        )
    return positions


def row_bytes(config: ModelConfig, kv_format: KVFormat) -> int:
    """Bytes of a row's keys and values on their way to the pages; none if they go there at once."""
    return 2 * 4 * config.n_kv_heads * config.head_dim if kv_format == "q8" else 0


def reader_snippets(kv_format: KVFormat) -> dict[str, str]:
    """Snippets of the attention kernels."""
    scales = {"q8": "kv/q8"} if kv_format == "q8" else {}
    return {"pages": "kv/pages", "kv_read": f"kv/read_{kv_format}", **scales}


def writer_snippets(kv_format: KVFormat) -> dict[str, str]:
    """Snippets of the epilogue rope_append."""
    if kv_format == "q8":
        return {"pages": "kv/pages", "append": "kv/write_rows"}
    return {"pages": "kv/pages", "append": "kv/write_pages", "kv_write": f"kv/write_{kv_format}"}


def quantize_rows(rows: int, buffers: Mapping[str, Buffer], pages: Mapping[str, int]) -> Dispatch:
    """Quantize the keys and values of ``rows`` rows to 8 bits, into their pages.

    Args:
        buffers: of kernels/kv_quantize.wgsl, by name.
        pages: the constants of kernels/kv/pages.wgsl.
    """
    width = pages["KV_HEADS"] * pages["HEAD_DIM"]
    snippets = {"pages": "kv/pages", "q8": "kv/q8"}
    return Dispatch(
        kernel("kv_quantize", snippets=snippets, **pages),
        buffers,
        (-(-width // QUANTIZED_AT_ONCE), rows, 1),
    )
