"""A reader of the protocol-buffer wire format: just what tokenizer.model needs."""

from __future__ import annotations

from collections.abc import Iterator

from webllm_py.errors import TokenizerError

__all__ = ["fields"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message in order: number and value.

    A value is a whole number for varints, bytes for all else: text and sub-messages, and the 4 or
    8 bytes of fixed-width numbers.

    Raises:
        TokenizerError: the data is truncated, or not a message.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, at = _varint(data, at)
        elif wire_type in (_FIXED32, _FIXED64):
            size = 4 if wire_type == _FIXED32 else 8
        else:
            raise TokenizerError(f"not a protocol-buffer message: wire type {wire_type}")
        if number == 0 or size > len(data) - at:
            raise TokenizerError("a protocol-buffer message is truncated or damaged")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise TokenizerError("a protocol-buffer message is truncated or damaged")
