"""Real schemas with real vocabularies: each instance written in tokens, every one of which the mask
before it has to allow, or one of which it has to refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from canonical import canonical

from webllm_py.errors import UnsupportedSchemaError
from webllm_py.grammar import Grammar, Matcher, TokenMasks, schema_grammar
from webllm_py.tokenizer import Tokenizer, from_files

TOKENIZERS = Path(__file__).parents[4] / "shared" / "data" / "tokenizers"
FILES = {
    "qwen2": ("vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"),
    "llama3": ("tokenizer.model",),
}


def allows(grammar: Grammar, masks: TokenMasks, tokens: list[int]) -> bool:
    """Whether masks let the tokens through, and then an end."""
    matcher = Matcher(grammar, masks)
    for token in [*tokens, min(masks.ends)]:
        allowed = matcher.mask()[token >> 3] >> (token & 7) & 1
        assert matcher.accept(token) == bool(allowed)
        if not allowed:
            return False
    return True


def masks_of(tokenizer: Tokenizer) -> TokenMasks:
    hidden = tokenizer.special_ids | tokenizer.end_ids
    size = tokenizer.vocab_size
    texts = [b"" if id in hidden else tokenizer.token_bytes(id) for id in range(size)]
    return TokenMasks(texts, tokenizer.end_ids)


@pytest.mark.parametrize("vocabulary", FILES)
def test_maskbench(
    vocabulary: str, schema_data: Callable[[str], list[Any]], request: pytest.FixtureRequest
) -> None:
    """All 400 schemas with ``--long``, else each twentieth."""
    every = 1 if request.config.getoption("--long") else 20
    files = {name: TOKENIZERS / vocabulary / name for name in FILES[vocabulary]}
    tokenizer = from_files({name: path.read_bytes() for name, path in files.items()})
    masks = masks_of(tokenizer)
    cases = schema_data("maskbench-400.jsonl")[::every]
    refused, wrong = [], []
    for case in cases:
        try:
            grammar = schema_grammar(case["schema"])
        except UnsupportedSchemaError:
            refused.append(case["id"])
            continue
        for number, test in enumerate(case["tests"]):
            text = canonical(test["data"]).decode("utf-8")
            tokens = tokenizer.encode(text, parse_special=False)
            if allows(grammar, masks, tokens) is not test["valid"]:
                wrong.append((case["id"], number))
    assert wrong == []
    assert len(refused) <= 0.05 * len(cases), refused
