"""The tokenizer: text to ids through the steps of the definition, and ids back to text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.added_tokens import AddedToken, AddedTokenSplitter
from webllm_py.tokenizer.infill import Infill, infill_of
from webllm_py.tokenizer.model import Model
from webllm_py.tokenizer.normalizers import Normalizer
from webllm_py.tokenizer.pretokenizers import PreTokenizer
from webllm_py.tokenizer.stream import StreamDecoder
from webllm_py.tokenizer.vocabulary import Vocabulary

__all__ = ["SpecialTokens", "Tokenizer"]


@dataclass(frozen=True)
class SpecialTokens:
    """The ids with a role.

    Attributes:
        bos, eos: beginning and end of a text; None where the checkpoint names none.
        prefix, suffix: what ``encode(add_special=True)`` puts around the text.
        ends: every id after which generation ends, ``eos`` among them.
        infill: those around the parts of a text to fill in, where the checkpoint names their ids.
    """

    bos: int | None = None
    eos: int | None = None
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    ends: frozenset[int] = frozenset()
    infill: Infill | None = None


class Tokenizer:
    """Turns text into token ids and back.

    Made by ``from_gguf`` and ``from_files``. Encoding cuts added tokens out of the text, normalizes
    what lies between them, splits that into words and gives each word to the model.

    Attributes:
        vocab_size: number of ids known: the largest + 1.
        bos_id, eos_id: beginning and end of a text; None where the checkpoint names none.
        add_bos, add_eos: whether ``encode(add_special=True)`` puts them there.
        end_ids: every id after which generation ends, ``eos_id`` among them.
        special_ids: control tokens, which decoding hides with ``skip_special``.
    """

    def __init__(
        self,
        model: Model,
        vocabulary: Vocabulary,
        added: Sequence[AddedToken],
        special: SpecialTokens,
        *,
        normalizer: Normalizer | None = None,
        pre_tokenizer: PreTokenizer | None = None,
        drop_leading_space: bool = False,
    ):
        self._model = model
        self._vocabulary = vocabulary
        self._added = added
        self._special = special
        self._normalizer = normalizer
        self._pre_tokenizer = pre_tokenizer
        self._drop_leading_space = drop_leading_space
        self.vocab_size = len(vocabulary)
        self.bos_id = special.bos
        self.eos_id = special.eos
        self.add_bos = special.bos is not None and special.bos in special.prefix
        self.add_eos = special.eos is not None and special.eos in special.suffix
        self.end_ids = special.ends
        self.special_ids = frozenset(token.id for token in added if token.special)
        for token_id in {*special.prefix, *special.suffix, *special.ends}:
            vocabulary.token_bytes(token_id)  # raises where it is not in the vocabulary

    @cached_property
    def infill(self) -> Infill | None:
        """The tokens around the parts of a text to fill in; None if the model has none."""
        return self._special.infill or infill_of(self.token_id)

    @property
    def needed(self) -> int:
        """How many ids a model must embed: not those of added tokens that no text needs."""
        special = self._special
        roles = (*special.prefix, *special.suffix, self.bos_id, self.eos_id)
        return max([self._vocabulary.own, *(id + 1 for id in roles if id is not None)])

    def fit(self, vocab_size: int) -> None:
        """Know just the ids that the model embeds, as many as ``needed`` or more; to be called
        before anything is encoded or decoded.

        Its tables are often padded with rows that no token has; such a row can be drawn, and stands
        for nothing. Where an added token has no row, as the one of images in models of Gemma 3 that
        read text only, what spells it is plain text.
        """
        self._vocabulary.fit(vocab_size)
        self._added = [token for token in self._added if token.id < vocab_size]
        self.special_ids = frozenset(id for id in self.special_ids if id < vocab_size)
        self.end_ids = frozenset(id for id in self.end_ids if id < vocab_size)
        self.vocab_size = vocab_size

    def encode(
        self, text: str, *, add_special: bool = False, parse_special: bool = True
    ) -> list[int]:
        """The token ids of a text.

        Args:
            text: any text without lone surrogates.
            add_special: put BOS and EOS around it as the checkpoint says.
            parse_special: recognise special tokens ("<|im_end|>") that are written out in the text;
                if not, they are plain text, as text from users should be.

        Raises:
            TokenizerError: the text has a lone surrogate, or a part that no token stands for.
            TypeError: it is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"the text to encode must be a string, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TokenizerError(
                f"the text is not valid Unicode: a lone surrogate at position {error.start}"
            ) from None
        ids: list[int] = []
        for part in self._parts(text, parse_special):
            if isinstance(part, AddedToken):
                ids.append(part.id)
            else:
                ids += self._model.encode(part)
        return [*self._special.prefix, *ids, *self._special.suffix] if add_special else ids

    def decode(self, ids: Iterable[int], *, skip_special: bool = False) -> str:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD.

        Raises:
            TokenizerError: an id is not in the vocabulary.
            TypeError: they are no ids.
        """
        if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
            raise TypeError(f"what is decoded are token ids, not {type(ids).__name__}")
        decoder = self.decoder(skip_special=skip_special)
        return decoder.push_all(ids) + decoder.flush()

    def decoder(
        self,
        *,
        skip_special: bool = True,
        continues: bool = False,
        shown: frozenset[int] = frozenset(),
    ) -> StreamDecoder:
        """A decoder for ids that come one by one.

        Args:
            skip_special: give nothing for control tokens.
            continues: the ids go on with a text that is already shown. SentencePiece writes a
                space before the first word of a text, which decoding drops; here it is kept.
            shown: control tokens that are not skipped.
        """
        return StreamDecoder(
            self._vocabulary.token_bytes,
            hidden=self.special_ids - shown if skip_special else frozenset(),
            drop_leading_space=self._drop_leading_space and not continues,
        )

    def token_bytes(self, id: int) -> bytes:
        """The bytes a token stands for; a special token stands for its text.

        An id that the definition leaves out, below the largest, stands for nothing.

        Raises:
            TokenizerError: there is no such id.
        """
        return self._vocabulary.token_bytes(id)

    def token_id(self, text: str) -> int | None:
        """The id of the token that the definition writes so ("<|im_end|>", "Ġthe"), or None."""
        return self._vocabulary.token_id(text)

    @cached_property
    def _splitters(self) -> dict[tuple[bool, bool], AddedTokenSplitter]:
        """By whether it looks at normalized text, and whether special tokens count."""
        return {
            (normalized, parse_special): AddedTokenSplitter(
                token
                for token in self._added
                if token.normalized == normalized and (parse_special or not token.special)
            )
            for normalized in (False, True)
            for parse_special in (False, True)
        }

    def _parts(self, text: str, parse_special: bool) -> Iterator[str | AddedToken]:
        """The words and added tokens of a text, in order."""
        in_text = self._splitters[False, parse_special]
        in_normalized = self._splitters[True, parse_special]
        for start, segment in in_text.split(text):
            if isinstance(segment, AddedToken):
                yield segment
                continue
            if self._normalizer is not None:
                segment = self._normalizer(segment, start == 0)
            for offset, part in in_normalized.split(segment):
                if isinstance(part, AddedToken) or self._pre_tokenizer is None:
                    yield part
                else:
                    yield from self._pre_tokenizer([part], start == 0 and offset == 0)
