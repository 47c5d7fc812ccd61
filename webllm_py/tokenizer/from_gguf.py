"""Reads the tokenizer of a GGUF file (keys ``tokenizer.ggml.*`` of the GGUF specification)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer import normalizers
from webllm_py.tokenizer.added_tokens import AddedToken
from webllm_py.tokenizer.bpe import BPE
from webllm_py.tokenizer.byte_level import chars_to_bytes
from webllm_py.tokenizer.fields import expect, field, optional, strings
from webllm_py.tokenizer.from_sentencepiece import (
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    sentencepiece_bpe,
)
from webllm_py.tokenizer.infill import Infill, infill_from
from webllm_py.tokenizer.merges import from_merges
from webllm_py.tokenizer.model import unsupported_model
from webllm_py.tokenizer.patterns import profile_named
from webllm_py.tokenizer.tokenizer import SpecialTokens, Tokenizer
from webllm_py.tokenizer.vocabulary import Vocabulary, piece_to_bytes, unique_ids

__all__ = ["from_gguf"]

_UNSUPPORTED = {"rwkv": "RWKV", "plamo2": "PLaMo-2"}

# The types of tokens that are matched in the text before the model sees it.
_ADDED = re.compile(b"[%c%c%c]" % (CONTROL, UNKNOWN, USER_DEFINED))

# Control tokens that end a turn or a message; files name only one of them as EOS.
_END_TEXTS = (
    *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>"),
    *("<|endoftext|>", "<|eom_id|>", "<EOT>", "<|end_of_text|>", "<|end_of_turn|>"),
)

# Phi-3's special tokens take the white space behind them, except these; GGUF has no place for it.
_PHI3_NAMES = ("phi-3", "phi3")
_PHI3_PLAIN = ("<unk>", "<s>", "<|endoftext|>")


def from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a GGUF file.

    Args:
        metadata: the file's key-value pairs.

    Raises:
        TokenizerError: the keys are missing or damaged.
        UnsupportedModelError: a tokenizer model or pre-tokenizer that this version does not run.
    """
    keys = Keys(metadata)
    kind = keys.text("model")
    if kind == "llama":
        return _sentencepiece(keys)
    if kind == "gpt2":
        return _byte_level(keys)
    if kind in ("t5", "bert"):
        # Not before it is needed: a page starts Python from a snapshot, which it need not be in.
        from webllm_py.tokenizer.gguf_encoders import unigram, wordpiece

        return unigram(keys) if kind == "t5" else wordpiece(keys)
    raise unsupported_model(_UNSUPPORTED.get(kind, kind))


class Keys:
    """The ``tokenizer.ggml`` keys, checked, with what all kinds share."""

    def __init__(self, metadata: Mapping[str, Any]):
        self._metadata = metadata
        prefix = "tokenizer.ggml."
        self._keys = {
            key.removeprefix(prefix): value
            for key, value in metadata.items()
            if key.startswith(prefix)
        }
        if not self._keys:
            raise TokenizerError("the GGUF file holds no tokenizer (no tokenizer.ggml keys)")
        self.pieces = strings(self._keys.get("tokens"), "tokenizer.ggml.tokens")
        # an empty token gets a name of its own: ids go on counting behind it, names are unique
        if "" in self.pieces:
            self.pieces = [piece or f"[EMPTY_{index}]" for index, piece in enumerate(self.pieces)]
        self.ids = unique_ids(self.pieces)
        self.types = self._numbers("token_type", int) or [NORMAL] * len(self.pieces)

    def text(self, name: str, default: str | None = None) -> str:
        if default is not None:
            return optional(self._keys, name, str, default, "tokenizer.ggml")
        return field(self._keys, name, str, "tokenizer.ggml")

    def flag(self, name: str, default: bool) -> bool:
        return optional(self._keys, name, bool, default, "tokenizer.ggml")

    def data(self, name: str) -> bytes:
        """Bytes, which files write as a list of numbers; none where they are not there."""
        value = self._keys.get(name)
        if value is None:
            return b""
        try:
            # numbers from -128 as well: writers differ
            return bytes(number & 0xFF for number in value)
        except TypeError:
            raise TokenizerError(f"tokenizer.ggml.{name} must be a list of bytes") from None

    def merges(self) -> list[str]:
        return strings(self._keys.get("merges"), "tokenizer.ggml.merges")

    def scores(self) -> Sequence[float]:
        scores = self._numbers("scores", float)
        if scores is None:
            raise TokenizerError("tokenizer.ggml.scores is missing: merges cannot be ordered")
        return scores

    def _numbers(self, name: str, kind: type[float]) -> list[Any] | None:
        """One number a token."""
        values = self._keys.get(name)
        if values is None:
            return None
        if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
            raise TokenizerError(f"tokenizer.ggml.{name} must be a list of numbers")
        if len(values) < len(self.pieces):
            raise TokenizerError(
                f"tokenizer.ggml.{name} has {len(values)} entries for {len(self.pieces)} tokens"
            )
        if set(map(type, values)) - {int, kind}:
            raise TokenizerError(f"tokenizer.ggml.{name} must hold only numbers")
        return list(values[: len(self.pieces)])

    def id(self, name: str, default: int | None = None) -> int | None:
        """A token's id; files write "none" as an id outside of the vocabulary."""
        value = self._keys.get(f"{name}_token_id")
        if value is None:
            value = default
        if value is None:
            return None
        token_id = expect(value, int, f"tokenizer.ggml.{name}_token_id")
        return token_id if 0 <= token_id < len(self.pieces) else None

    def added_tokens(self) -> list[AddedToken]:
        name = optional(self._metadata, "general.name", str, "", "general").lower()
        is_phi3 = any(part in name for part in _PHI3_NAMES)
        try:
            kinds = bytes(self.types)  # hundreds of thousands, of which few are searched for
        except ValueError:
            raise TokenizerError(
                "tokenizer.ggml.token_type holds a number that is no type"
            ) from None
        return [
            AddedToken(
                index,
                self.pieces[index],
                special=kinds[index] in (CONTROL, UNKNOWN),
                rstrip=is_phi3 and self.pieces[index] not in _PHI3_PLAIN,
            )
            for index in (found.start() for found in _ADDED.finditer(kinds))
        ]

    def class_and_separator(self) -> SpecialTokens:
        """The roles as BERT has them: CLS before a text, SEP behind it."""
        first = self.id("cls", self.id("bos", self.ids.get("[CLS]")))
        # "seperator" is how the format spells it
        last = self.id("seperator", self.id("eos", self.ids.get("[SEP]")))
        prefix = () if first is None or not self.flag("add_bos_token", True) else (first,)
        suffix = () if last is None or not self.flag("add_eos_token", True) else (last,)
        return SpecialTokens(prefix=prefix, suffix=suffix)

    def special_tokens(
        self,
        *,
        bos: int | None = None,
        eos: int | None = None,
        add_bos: bool,
        add_eos: bool = False,
    ) -> SpecialTokens:
        """The roles; the arguments for where the file says nothing."""
        bos, eos = self.id("bos", bos), self.id("eos", eos)
        add_bos = self.flag("add_bos_token", add_bos) and bos is not None
        add_eos = self.flag("add_eos_token", add_eos) and eos is not None
        ends = {eos, self.id("eot"), self.id("eom")}
        for text in _END_TEXTS:
            if text in self.ids and self.types[self.ids[text]] == CONTROL:
                ends.add(self.ids[text])
        if "<|return|>" in self.ids:
            # In OpenAI's harmony format <|end|> only parts the messages of one answer.
            ends.discard(self.ids.get("<|end|>"))
        return SpecialTokens(
            bos,
            eos,
            prefix=(bos,) if add_bos and bos is not None else (),
            suffix=(eos,) if add_eos and eos is not None else (),
            ends=frozenset(index for index in ends if index is not None),
            infill=self._infill(),
        )

    def _infill(self) -> Infill | None:
        """The ids that newer files name; older ones only have the tokens."""
        ends = ("eot", "fim_pad", "fim_rep", "fim_sep")
        return infill_from(
            self.id("fim_pre"),
            self.id("fim_suf"),
            self.id("fim_mid"),
            ends=map(self.id, ends),
        )


def _sentencepiece(keys: Keys) -> Tokenizer:
    model, split = sentencepiece_bpe(keys.ids, keys.scores(), keys.types, keys.id("unknown", 0))
    added = keys.added_tokens()
    add_prefix = keys.flag("add_space_prefix", True)
    steps = [normalizers.replace(" ", "▁")]
    if add_prefix:
        steps.append(normalizers.prepend("▁"))
    return Tokenizer(
        model,
        Vocabulary(keys.ids, piece_to_bytes, added, lambda token: True),
        added,
        keys.special_tokens(bos=1, eos=2, add_bos=True),
        normalizer=normalizers.sequence(steps),
        pre_tokenizer=split,
        drop_leading_space=add_prefix,
    )


def _byte_level(keys: Keys) -> Tokenizer:
    profile = profile_named(keys.text("pre", "default"))
    priorities, joiner = from_merges(keys.merges(), keys.ids)
    added = keys.added_tokens()
    words = dict(keys.ids)
    for token in added:
        if token.special:
            del words[token.text]  # no text spells a control token, not even one that is a word
    return Tokenizer(
        BPE(
            words,
            priorities,
            joiner,
            byte_level=True,
            whole_words=profile.whole_words,
            unknown_id=keys.id("unknown"),
        ),
        Vocabulary(keys.ids, chars_to_bytes, added, lambda token: True),
        added,
        keys.special_tokens(add_bos=profile.add_bos),
        pre_tokenizer=profile.pre_tokenizer(),
    )
