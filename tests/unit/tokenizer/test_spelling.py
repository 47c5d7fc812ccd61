"""The tokens of a text in the middle of another, as forced text needs them."""

from __future__ import annotations

import definitions
import pytest

from webllm_py.runtime.generation.constraints import spelling
from webllm_py.tokenizer import from_gguf


@pytest.mark.parametrize("made", [definitions.byte_level_gguf, definitions.sentencepiece_gguf])
@pytest.mark.parametrize("text", ["", "a", '{"name": "', " b", "é🙂", "a\n\nb"])
def test_the_tokens_are_of_the_text_and_nothing_else(made: object, text: str) -> None:
    tokenizer = from_gguf(made())  # type: ignore[operator]
    tokens = spelling(tokenizer, text)
    assert b"".join(map(tokenizer.token_bytes, tokens)) == text.encode()
    behind = tokenizer.decode([*tokenizer.encode("x"), *tokens])
    assert behind == "x" + text
