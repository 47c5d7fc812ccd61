"""What the trainer sees is what the engine will see: template, tokens, packed rows."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from demo.pocket.bpe import BytePairEncoding
from demo.pocket.chat_format import END, PAD, START, chat_template, segments
from demo.pocket.corpus import LETTERS_ON, Chat, visible
from demo.pocket.data import LEARNED, TOKEN, rows
from demo.pocket.data import START as FIRST
from demo.pocket.metadata import Config, metadata
from webllm_py.chat.prompt import PromptBuilder
from webllm_py.chat.template import ChatTemplate
from webllm_py.tokenizer.from_gguf import from_gguf

TEXTS = (
    "Hello, world! 12345 it's  double  spaces\n\n x_y 45 °C äöü 日本 émigré\t\ttab 3.5e-7 don't",
    '{"name": "Ann", "age": 34}',
    "a" * 300,
    " 1 22 333 + 4-5=  6",
    "🙂🙃 ½ ² ʼ",
)


@pytest.fixture(scope="module")
def bpe() -> BytePairEncoding:
    return BytePairEncoding()


def training_text(chat: Chat) -> str:
    return visible("".join(text for text, _ in segments(chat)))


def as_requested(message: dict[str, Any]) -> dict[str, Any]:
    """The message in the API's normal form: arguments of calls are JSON text."""
    plain = message | {"content": visible(message["content"])}
    if "tool_calls" in message:
        plain["tool_calls"] = [
            call | {"function": function | {"arguments": json.dumps(function["arguments"])}}
            for call in message["tool_calls"]
            for function in [call["function"]]
        ]
    return plain


def test_the_template_gives_the_training_text(chats: list[Chat]) -> None:
    template = ChatTemplate(chat_template())
    some = [c for c in chats if c.tools][:300] + chats[:700]
    for chat in some:
        messages = [m | {"content": visible(m["content"])} for m in chat.messages]
        rendered = template.render(messages, tools=chat.tools, add_generation_prompt=False)
        assert rendered == training_text(chat)


def test_the_shipped_prompt_builder_opens_the_answer_as_in_training(chats: list[Chat]) -> None:
    builder = PromptBuilder(ChatTemplate(chat_template()))
    for chat in [c for c in chats if c.tools][:100] + chats[:200]:
        messages = [as_requested(m) for m in chat.messages]
        whole = training_text(chat)
        answer = whole.rindex(f"{START}assistant\n") + len(f"{START}assistant\n")
        prompt = builder.build(messages[:-1], tools=chat.tools or ())
        assert prompt == whole[:answer]


def test_only_answers_are_learned(chats: list[Chat]) -> None:
    for chat in chats[:500]:
        learned = [text for text, is_learned in segments(chat) if is_learned]
        answers = [m for m in chat.messages if m["role"] == "assistant"]
        assert len(learned) == len(answers)
        for text, message in zip(learned, answers, strict=True):
            assert text.startswith(message["content"])
            assert text.endswith(END)


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_the_tokenizer(bpe: BytePairEncoding, text: str) -> None:
    assert bpe.decode(bpe.encode(text)) == text


def test_chats_survive_the_tokenizer(bpe: BytePairEncoding, chats: list[Chat]) -> None:
    for chat in chats[:500]:
        for text, _ in segments(chat):
            assert bpe.decode(bpe.encode(text)) == visible(text)


def test_there_are_2048_tokens_and_every_digit_is_one(bpe: BytePairEncoding) -> None:
    assert len(bpe.tokens) == 2048
    assert [t for t in bpe.tokens if re.search("[0-9]", t)] == list("0123456789")


def test_marked_words_are_encoded_letter_by_letter(bpe: BytePairEncoding) -> None:
    assert len(bpe.encode("thing")) < 5
    assert [bpe.tokens[i] for i in bpe.encode("\x02thing\x03")] == list("thing")


def test_the_engine_tokenizes_as_the_trainer(bpe: BytePairEncoding, chats: list[Chat]) -> None:
    tokenizer = from_gguf({key: value for key, value, _ in metadata(Config())})
    for text in TEXTS:
        assert tokenizer.encode(text) == bpe.encode(text)
    for chat in chats[:300]:
        pieces = [text for text, _ in segments(chat)]
        if not any(LETTERS_ON in piece for piece in pieces):
            whole = "".join(pieces)
            assert tokenizer.encode(whole) == bpe.encode(whole)


def test_rows_hold_whole_documents(bpe: BytePairEncoding) -> None:
    length = 1024
    made = rows(3, length, 30, bpe)
    assert made.shape == (30, length)
    pad, end = bpe.special[PAD], bpe.special[END]
    documents = 0
    for row in made:
        starts = [*np.flatnonzero(row & FIRST), length]
        for begin, stop in pairwise(starts):
            ids = row[begin:stop] & TOKEN
            if ids[0] == pad:
                assert stop - begin == 1
                assert not row[begin] & LEARNED
                continue
            documents += 1
            text = bpe.decode(ids.tolist())
            assert text.startswith(START) or START not in text
            assert text.rstrip("\n").endswith(END)
            for answer in re.findall(
                f"{re.escape(START)}assistant\n(.*?{re.escape(END)})", text, re.S
            ):
                assert answer in bpe.decode((ids[(row[begin:stop] & LEARNED) != 0]).tolist())
            learned_ends = int(((ids == end) & ((row[begin:stop] & LEARNED) != 0)).sum())
            assert learned_ends == max(1, text.count(f"{START}assistant"))
    assert documents > 100
    padding = float(((made & TOKEN) == pad).mean())
    assert padding < 0.02
