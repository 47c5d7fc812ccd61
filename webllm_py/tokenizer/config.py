"""The files beside a tokenizer that name its added tokens and the roles of some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.added_tokens import AddedToken
from webllm_py.tokenizer.fields import expect, field, optional, read_json, token_ids
from webllm_py.tokenizer.tokenizer import SpecialTokens
from webllm_py.tokenizer.vocabulary import Vocabulary

__all__ = ["FolderConfig", "added_token"]

_ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "pad_token",
    "sep_token",
    "cls_token",
    "mask_token",
)


def added_token(spec: Mapping[str, Any], token_id: int, where: str) -> AddedToken:
    """An added token from its object in tokenizer.json or ``added_tokens_decoder``."""

    def flag(name: str) -> bool:
        return optional(spec, name, bool, False, where)

    return AddedToken(
        token_id,
        field(spec, "content", str, where),
        special=flag("special"),
        lstrip=flag("lstrip"),
        rstrip=flag("rstrip"),
        single_word=flag("single_word"),
        normalized=flag("normalized"),
    )


@dataclass(frozen=True)
class FolderConfig:
    """What the small JSON files say; empty where one is absent.

    Attributes:
        tokenizer: tokenizer_config.json.
        special_map: special_tokens_map.json.
        added: added_tokens.json.
        generation: generation_config.json.
        model: config.json.
    """

    tokenizer: Mapping[str, Any]
    special_map: Mapping[str, Any]
    added: Mapping[str, int]
    generation: Mapping[str, Any]
    model: Mapping[str, Any]

    @classmethod
    def read(cls, files: Mapping[str, bytes]) -> FolderConfig:
        """Reads those of the files that are there.

        Raises:
            TokenizerError: one of them is damaged.
        """

        def content(name: str) -> dict[str, Any]:
            return read_json(files, name) if name in files else {}

        return cls(
            tokenizer=content("tokenizer_config.json"),
            special_map=content("special_tokens_map.json"),
            added=token_ids(content("added_tokens.json"), "added_tokens.json"),
            generation=content("generation_config.json"),
            model=content("config.json"),
        )

    def flag(self, name: str) -> bool | None:
        """A flag of tokenizer_config.json; None where it is not said."""
        if self.tokenizer.get(name) is None:
            return None
        return field(self.tokenizer, name, bool, "tokenizer_config.json")

    def text(self, name: str) -> str:
        """A string of tokenizer_config.json, or of config.json; empty where it is not said."""
        where = "tokenizer_config.json"
        return optional(self.tokenizer, name, str, "", where) or optional(
            self.model, name, str, "", "config.json"
        )

    def added_tokens(self, own: Iterable[AddedToken], ids: Mapping[str, int]) -> list[AddedToken]:
        """All added tokens.

        Args:
            own: those that the tokenizer's own file names: their ids stand, but the flags that
                tokenizer_config.json gives them win.
            ids: the model's vocabulary, which tokens with a role can be in.
        """
        tokens: dict[str, AddedToken] = {}
        for token in own:
            if tokens.setdefault(token.text, token).id != token.id:
                raise TokenizerError(f"the added token {token.text!r} has two ids")
        for token in self._described_tokens():
            known = tokens.get(token.text, token)
            tokens[token.text] = replace(token, id=known.id)
        roles = self._role_texts()
        for text, token_id in self.added.items():
            tokens.setdefault(text, AddedToken(token_id, text, special=text in roles))
        for text in roles:
            if text in ids:
                tokens.setdefault(text, AddedToken(ids[text], text, special=True))
        return list(tokens.values())

    def _described_tokens(self) -> list[AddedToken]:
        where = "tokenizer_config.json: added_tokens_decoder"
        decoder = optional(self.tokenizer, "added_tokens_decoder", dict, {}, where)
        tokens = []
        for key, spec in decoder.items():
            if not key.isdecimal():
                raise TokenizerError(f"{where}: {key!r} is not a token id")
            tokens.append(added_token(expect(spec, dict, where), int(key), where))
        return tokens

    def _role_texts(self) -> list[str]:
        """The texts of all special tokens that the files name."""
        texts = []
        for source in (self.tokenizer, self.special_map):
            texts += [text for role in _ROLES if (text := _token_text(source.get(role), role))]
            extra = source.get("additional_special_tokens") or []
            for token in expect(extra, list, "additional_special_tokens"):
                texts.append(_token_text(token, "additional_special_tokens") or "")
        return list(filter(None, dict.fromkeys(texts)))

    def special_tokens(
        self,
        vocabulary: Vocabulary,
        *,
        bos: int | None = None,
        eos: int | None = None,
        add_bos: bool | None = None,
        prefix: tuple[int, ...] = (),
        suffix: tuple[int, ...] = (),
    ) -> SpecialTokens:
        """The roles as the small files tell them.

        Args:
            vocabulary: all tokens.
            bos, eos: what the tokenizer's own file says, for where these files say nothing.
            prefix, suffix: what that file puts around a text.
            add_bos: whether BOS belongs before a text, where the file itself does not show it.
                ``add_bos_token`` and ``add_eos_token`` of tokenizer_config.json win.
        """
        bos = self._role("bos", vocabulary, bos)
        eos = self._role("eos", vocabulary, eos)
        said = self.flag("add_bos_token")
        prefix = _with(bos, prefix, wanted=add_bos if said is None else said)
        suffix = _with(eos, suffix, wanted=self.flag("add_eos_token"))
        ends = {*self._config_ids("eos"), *([] if eos is None else [eos])}
        known = frozenset(token_id for token_id in ends if token_id < len(vocabulary))
        return SpecialTokens(bos, eos, prefix, suffix, known)

    def _role(self, role: str, vocabulary: Vocabulary, default: int | None) -> int | None:
        name = f"{role}_token"
        for source in (self.tokenizer, self.special_map):
            if name in source:
                text = _token_text(source[name], name)
                if text is None:
                    return None
                token_id = vocabulary.token_id(text)
                if token_id is None:
                    raise TokenizerError(f"the {name} {text!r} is not in the vocabulary")
                return token_id
        ids = self._config_ids(role)
        if default is None and ids and ids[0] < len(vocabulary):
            return ids[0]
        return default

    def _config_ids(self, role: str) -> list[int]:
        """``eos_token_id`` and its like in generation_config.json, else config.json."""
        name = f"{role}_token_id"
        for source, where in (
            (self.generation, "generation_config.json"),
            (self.model, "config.json"),
        ):
            value = source.get(name)
            if value is not None:
                values = value if isinstance(value, list) else [value]
                return [expect(token_id, int, f"{where}: {name}") for token_id in values]
        return []


def _token_text(value: Any, where: str) -> str | None:
    """A token that is given as a string, as an object with "content", or as null."""
    if isinstance(value, dict):
        return field(value, "content", str, where)
    return None if value is None else expect(value, str, where)


def _with(token_id: int | None, ids: tuple[int, ...], *, wanted: bool | None) -> tuple[int, ...]:
    """The ids with or without this one; as they are where that is not said."""
    if token_id is None or wanted is None or wanted == (token_id in ids):
        return ids
    return (token_id, *ids) if wanted else tuple(other for other in ids if other != token_id)
