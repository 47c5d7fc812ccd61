"""The pocket model's tokenizer, as the trainer uses it: byte-level BPE, fast on repeated words.

``tokenizer.json`` (made by ``make_tokenizer.py``) holds the vocabulary in the form of Hugging
Face's tokenizers library; the GGUF holds the same. The pre-tokenizer is GPT-2's (``gpt-2`` in
GGUF), and no merge holds a digit, so that each digit is its own token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from demo.pocket.corpus import LETTERS_OFF, LETTERS_ON

__all__ = ["TOKENIZER_FILE", "BytePairEncoding", "byte_alphabet"]

TOKENIZER_FILE = Path(__file__).with_name("tokenizer.json")

# GPT-2's pattern with Python's classes: letters are word characters but digits and "_".
_PRE_TOKENIZE = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
)


def byte_alphabet() -> list[str]:
    """For each byte the printable character that stands for it (GPT-2's table)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(spare)) for b in range(256)]


class BytePairEncoding:
    """Encodes and decodes text.

    Attributes:
        tokens: the token of each id, in the byte alphabet; special tokens as they are.
        merges: the merges in order, each as "left right".
        special: ids of the special tokens.
    """

    def __init__(self, path: Path = TOKENIZER_FILE):
        data = json.loads(path.read_text())
        vocab: dict[str, int] = data["model"]["vocab"]
        self.special = {t["content"]: t["id"] for t in data["added_tokens"]}
        ids = {**vocab, **self.special}
        self.tokens = sorted(ids, key=ids.__getitem__)
        self.merges = [" ".join(m) for m in data["model"]["merges"]]
        self._ids = ids
        self._ranks = {tuple(m.split(" ")): i for i, m in enumerate(self.merges)}
        self._alphabet = byte_alphabet()
        self._bytes = {c: b for b, c in enumerate(self._alphabet)}
        self._words: dict[str, list[int]] = {}
        marks = "|".join(map(re.escape, (*self.special, LETTERS_ON, LETTERS_OFF)))
        self._split = re.compile(f"({marks})")

    def encode(self, text: str) -> list[int]:
        """Ids of the text; special tokens are recognised, and marked letters encoded singly."""
        ids: list[int] = []
        one_by_one = False
        for part in self._split.split(text):
            if part in self.special:
                ids.append(self.special[part])
            elif part in (LETTERS_ON, LETTERS_OFF):
                one_by_one = part == LETTERS_ON
            elif one_by_one:
                ids += [self._ids[self._alphabet[b]] for b in part.encode()]
            else:
                for word in _PRE_TOKENIZE.findall(part):
                    known = self._words.get(word)
                    ids += self._word(word) if known is None else known
        return ids

    def _word(self, word: str) -> list[int]:
        pieces = [self._alphabet[b] for b in word.encode()]
        while len(pieces) > 1:
            ranked = [
                (self._ranks.get(pair, len(self._ranks)), i)
                for i, pair in enumerate(pairwise(pieces))
            ]
            rank, i = min(ranked)
            if rank == len(self._ranks):
                break
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        ids = [self._ids[piece] for piece in pieces]
        if len(self._words) < 100_000:
            self._words[word] = ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids, special tokens included."""
        text = bytearray()
        for i in ids:
            token = self.tokens[i]
            if token in self.special:
                text += token.encode()
            else:
                text += bytes(self._bytes[c] for c in token)
        return text.decode(errors="replace")
