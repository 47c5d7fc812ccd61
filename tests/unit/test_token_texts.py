"""Calls in the tokens of real vocabularies: allowed one by one, and read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from webllm_py.chat import CallRules, ChatTemplate
from webllm_py.chat.dialect import Dialect
from webllm_py.chat.pieces import Reply
from webllm_py.grammar import Matcher, TokenMasks
from webllm_py.loading.token_texts import TokenTexts
from webllm_py.tokenizer import Tokenizer, from_files

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS = ({"name": "get_weather", "parameters": SCHEMA}, {"name": "stop"})
CALLS = [("get_weather", '{"city": "Osło"}'), ("stop", "{}")]
MODELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mistral": ("mistralai-Mistral-Nemo-Instruct-2407", ("mistral-v3/tokenizer.model",)),
    "qwen": (
        "Qwen-Qwen3-0.6B",
        ("qwen2/vocab.json", "qwen2/merges.txt", "qwen3/tokenizer_config.json"),
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> tuple[Dialect, Tokenizer, dict[int, int]]:
    """How a model talks, its tokenizer, and its control tokens that mean something."""
    if not DATA.is_dir():
        pytest.skip(f"no shared data at {DATA}: real vocabularies are not tested")
    template, files = MODELS[request.param]
    source = (DATA / "chat-templates" / "jinja" / f"{template}.jinja").read_text("utf-8")
    paths = [DATA / "tokenizers" / file for file in files]
    tokenizer = from_files({path.name: path.read_bytes() for path in paths})
    dialect = Dialect(
        ChatTemplate(source),
        lambda text: tokenizer.token_id(text) is not None,
        lambda text: tokenizer.token_id(text) in tokenizer.special_ids - tokenizer.end_ids,
    )
    ids = {tokenizer.token_id(text): byte for text, byte in dialect.controls.items()}
    return dialect, tokenizer, {id: byte for id, byte in ids.items() if id is not None}


def allowed(matcher: Matcher, token: int) -> bool:
    return bool(matcher.mask()[token // 8] >> token % 8 & 1)


@pytest.mark.parametrize("required", [True, False])
def test_a_call_in_tokens(model: tuple[Dialect, Tokenizer, dict[int, int]], required: bool) -> None:
    dialect, tokenizer, controls = model
    assert set(dialect.controls) <= {"[TOOL_CALLS]", "<think>", "</think>"}
    rules = CallRules(FUNCTIONS, required=required)
    texts = TokenTexts(tokenizer, tokenizer.vocab_size + 3, controls)
    masks = TokenMasks(texts, tokenizer.end_ids)
    grammar = dialect.grammar("", rules)
    assert grammar is not None
    matcher = Matcher(grammar, masks)
    decoder = tokenizer.decoder(shown=frozenset(controls))
    parser = dialect.parser("", rules)
    said = "" if required else "I will look.\n"
    pieces = []
    (end,) = tokenizer.end_ids
    assert allowed(matcher, end) != required
    for token in tokenizer.encode(said + dialect.syntax.written(CALLS)):
        assert allowed(matcher, token), tokenizer.decode([token])
        assert matcher.accept(token)
        pieces += parser.push(decoder.push(token))
    assert allowed(matcher, end) and matcher.accept(end)
    reply = Reply.of([*pieces, *parser.push(decoder.flush()), *parser.end()])
    assert (reply.content, reply.calls) == (said.strip(), CALLS)


def test_the_bytes_of_tokens(model: tuple[Dialect, Tokenizer, dict[int, int]]) -> None:
    _, tokenizer, controls = model
    size = tokenizer.vocab_size
    texts = TokenTexts(tokenizer, size + 3, controls)
    assert len(texts) == size + 3 and texts[size : size + 3] == [b"", b"", b""]
    assert all(texts[id] == bytes([byte]) for id, byte in controls.items())
    hidden = (tokenizer.special_ids | tokenizer.end_ids) - set(controls)
    assert not any(texts[id] for id in hidden)
    for id in tokenizer.encode("Some words."):
        assert texts[id] == tokenizer.token_bytes(id)
    with pytest.raises(IndexError):
        texts[size + 3]
