"""The words that a text is found by: folded, English plurals made singular, CJK in pairs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

__all__ = ["count_tokens", "query_words", "words"]

# Scripts without spaces between words. Pairs of neighbours find what whole runs would not.
UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
FIRST_UNSPACED = "\u0e00"
MARKS = re.compile("[\u0300-\u036f]+")
WORD = re.compile(rf"[{UNSPACED}]+|[^\W_{UNSPACED}]+")

# What questions are made of. In few passages these are rare, and would count as if they said much.
QUESTIONS = (
    "a about an and are as at be been but by can could did do does for from had has have how i if "
    "in into is it its me my no not of on or our shall she should so such tell than that the their "
    "them then there these they this to us was we were what when where which who whom whose why "
    "will with would you your"
)
COMMON = frozenset(QUESTIONS.split())

TOKENS_A_WORD = 4 / 3  # of English text in most vocabularies
# What no vocabulary has whole: numbers in base64, minified code, emoji one after the other.
LONG_WORD, LETTERS_A_TOKEN = 12, 2
SIGNS = re.compile(r"([^\w\s])\1*")


def words(text: str) -> list[str]:
    """The words in their order."""
    return list(_words(text))


def query_words(text: str) -> list[str]:
    """Each word of a question once; those that any question may have only if it has no other."""
    found = dict.fromkeys(_words(text))
    return [word for word in found if word not in COMMON] or list(found)


def count_tokens(text: str) -> int:
    """About how many tokens a text has, where there is no tokenizer to ask."""
    found = WORD.findall(text)
    signs = sum(1 for _ in SIGNS.finditer(text))
    # As many signs as words are among what words are counted with.
    return round(sum(map(_tokens_of, found)) + max(0, signs - len(found)))


def _tokens_of(word: str) -> float:
    if word[0] >= FIRST_UNSPACED:
        return len(word)
    return TOKENS_A_WORD + max(0, len(word) - LONG_WORD) / LETTERS_A_TOKEN


def _words(text: str) -> Iterator[str]:
    for word in WORD.findall(folded(text)):
        if word[0] >= FIRST_UNSPACED and len(word) > 1 and re.match(f"[{UNSPACED}]", word):
            yield from map("".join, pairwise(word))
        else:
            yield singular(word)


def folded(text: str) -> str:
    """Without case, accents, and forms that only look different (Unicode's NFKD)."""
    if text.isascii():
        return text.lower()
    apart = MARKS.sub("", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", apart)  # Japanese and Korean signs whole again


@lru_cache(20_000)
def singular(word: str) -> str:
    """The English singular as far as its letters tell: the "S stemmer" of Harman, "How effective is
    suffixing?", JASIS 42 (1991)."""
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if word.endswith("es") and word[-3] not in "aeo":
        return word[:-1]
    return word if word[-2] in "us" else word[:-1]
