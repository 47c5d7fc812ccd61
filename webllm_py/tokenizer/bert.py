"""BERT's steps before the model, as tokenizer.json has them: what is cleaned, and what parts words.

Categories are those of the interpreter's Unicode tables. Code points that are not assigned yet are
letters to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from webllm_py.tokenizer.charset import CharSet
from webllm_py.tokenizer.normalizers import Normalizer
from webllm_py.tokenizer.pretokenizers import PreTokenizer, Split, sequence
from webllm_py.tokenizer.unicode import WHITE_SPACE, property_set

__all__ = ["bert_normalizer", "bert_pre_tokenizer", "strip_accents"]

# The ranges of BERT's own code; the gap behind the fourth extension is there as well.
_CHINESE = CharSet.of(
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF)),
    *((0x2A700, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F)),
)


class _Table(dict[int, str]):
    """A table for ``str.translate`` that is filled as characters come."""

    def __init__(self, change: Callable[[str], str]):
        self._change = change

    def __missing__(self, code: int) -> str:
        changed = self[code] = self._change(chr(code))
        return changed


def bert_normalizer(
    *, clean: bool = True, part_chinese: bool = True, strip: bool = True, lower: bool = True
) -> Normalizer:
    """BertNormalizer.

    Args:
        clean: take out control characters, make every white space a space.
        part_chinese: put spaces around Chinese characters.
        strip: take accents off letters.
        lower: make lower case, each character for itself.
    """

    def changed(char: str) -> str:
        if clean and char not in "\t\n\r" and _is_control(char):
            return ""
        if clean and char in WHITE_SPACE:
            return " "
        return f" {char} " if part_chinese and char in _CHINESE else char

    def bare(char: str) -> str:
        if strip and unicodedata.category(char) == "Mn":
            return ""
        return char.lower() if lower else char

    first, second = _Table(changed), _Table(bare)

    def apply(text: str, at_start: bool) -> str:
        text = text.translate(first)
        if strip:
            text = unicodedata.normalize("NFD", text)
        return text.translate(second) if strip or lower else text

    return apply


def _is_control(char: str) -> bool:
    return char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf", "Co")


def strip_accents(text: str, at_start: bool) -> str:
    """Takes out every mark; a letter with its accent must have been parted from it (NFD)."""
    return "".join(char for char in text if unicodedata.category(char)[0] != "M")


@cache
def bert_pre_tokenizer() -> PreTokenizer:
    """Parts at white space, and every punctuation character from what is around it."""
    signs = property_set("P") | CharSet.of("$+<=>^`|~")
    spaces = re.compile(CharSet.of(WHITE_SPACE).pattern() + "+")
    return sequence([Split(spaces, "Removed"), Split(re.compile(signs.pattern()))])
