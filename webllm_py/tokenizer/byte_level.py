"""The byte-level alphabet: 256 printable characters that stand for the 256 bytes (GPT-2).

Vocabularies of byte-level BPE are written in it: "Ġthe" is b" the", "Ċ" is a line feed.
"""

from __future__ import annotations

__all__ = ["bytes_to_chars", "chars_to_bytes", "text_to_chars"]

# Bytes that are printable in Latin-1 stand for themselves; the rest take U+0100, U+0101, ... in
# order.
_PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_REST = sorted(set(range(256)) - _PRINTABLE)
_TO_CHAR = {byte: 0x100 + index for index, byte in enumerate(_REST)}
_TO_BYTE = {chr(_TO_CHAR.get(byte, byte)): byte for byte in range(256)}


def bytes_to_chars(data: bytes) -> str:
    """Each byte as its character."""
    return data.decode("latin-1").translate(_TO_CHAR)


def text_to_chars(text: str) -> str:
    """The UTF-8 bytes of a text, each as its character."""
    return bytes_to_chars(text.encode())


def chars_to_bytes(chars: str) -> bytes:
    """The bytes of a token; one that is not in the alphabet stands for its own UTF-8 bytes."""
    try:
        return bytes(map(_TO_BYTE.__getitem__, chars))
    except KeyError:
        return chars.encode()
