"""Encoding and loading speed with real vocabularies.

CPU seconds, so that a busy machine may be; and in the time of a machine at its usual speed, which
a loop tells, because shared machines run at a third of it now and then.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import subprocess
import time
from collections.abc import Callable
from pydoc_data.topics import topics

import pytest
from vectors import Read, gguf_metadata

from webllm_py.tokenizer import Tokenizer, from_files, from_gguf

KILOBYTES_PER_SECOND = 200
LOAD_SECONDS = 1.5
LOOP_SECONDS = 0.07  # of ``loop`` on the machine that the limits are for

CHINESE = (
    "今天早上下了一场小雨，街道两旁的树叶显得格外干净。"
    "我在图书馆门口遇见了多年不见的老同学，我们聊了很久。"
    "这个程序先读取配置文件，然后把每一行文字分成单词。"
    "如果网络断开，浏览器会显示错误信息，用户可以重新尝试。"
    "山下的村子里有一条清澈的小河，孩子们夏天常去那里游泳。"
    "二〇二四年的统计数据表明，这个地区的平均气温上升了一点五度。"
    "请把这些数字从小到大排列，并且说明你的理由。"
    "老师问：谁能回答这个问题？教室里一下子安静了。"
)
EMOJI = ["😀", "🎉", "👍🏽", "👨‍👩‍👧", "🇯🇵", "🚀🚀", "❤️", "🤷‍♀️", "✅"]


def mixed_text() -> str:
    """120 KB of English, code, Chinese and emoji, in turns."""
    rng = random.Random(4)
    english = "\n".join(topics[name] for name in sorted(topics))[:60_000]
    code = (inspect.getsource(subprocess) + inspect.getsource(argparse))[:40_000]
    sentences = CHINESE.split("。")
    chinese = "".join(
        "".join(rng.sample(sentence, len(sentence))) + "。"  # new words, not the same ones again
        for _ in range(25)
        for sentence in sentences
    )
    parts = []
    for turn in range(40):
        parts.append(english[turn * 1500 : (turn + 1) * 1500])
        parts.append(code[turn * 1000 : (turn + 1) * 1000])
        parts.append(chinese[turn * 100 : (turn + 1) * 100])
        parts.append("".join(rng.choices(EMOJI, k=rng.randrange(1, 30))))
    return "".join(parts)


def loop() -> float:
    """CPU seconds of some Python."""
    started = time.process_time()
    counts: dict[int, int] = {}
    for i in range(300_000):
        key = i * 7919 % 1000
        counts[key] = counts.get(key, 0) + 1
    return time.process_time() - started


def seconds_of(work: Callable[[], object]) -> float:
    """The least of three runs, each in the time of a machine at its usual speed."""

    def once() -> float:
        before = loop()
        started = time.process_time()
        work()
        seconds = time.process_time() - started
        return seconds / max(1, (before + loop()) / 2 / LOOP_SECONDS)

    return min(once() for _ in range(3))


def load(name: str, read: Read) -> Tokenizer:
    if name.endswith(".gguf"):
        return from_gguf(gguf_metadata(read(f"tokenizers/{name}")))
    if name == "qwen2":
        return from_files(
            {file: read(f"tokenizers/qwen2/{file}") for file in ("vocab.json", "merges.txt")}
        )
    return from_files({name.split("/")[1]: read(f"tokenizers/{name}")})


@pytest.mark.parametrize(
    "name",
    [
        "gpt-2/ggml-vocab-gpt-2.gguf",
        "qwen2",
        "llama3/tokenizer.model",
        "llama2/tokenizer.model",
        "phi-3/tokenizer.json",
    ],
)
def test_encoding_speed(name: str, read: Read) -> None:
    text = mixed_text()
    # Each run with a tokenizer that has seen none of it.
    tokenizers = [load(name, read) for _ in range(3)]
    for tokenizer in tokenizers:
        tokenizer.encode("the first text compiles the pattern")
    fresh = iter(tokenizers)
    seconds = seconds_of(lambda: next(fresh).encode(text))
    assert tokenizers[0].decode(tokenizers[0].encode(text)) == text
    assert len(text.encode()) / seconds / 1000 >= KILOBYTES_PER_SECOND


def test_loading_a_vocabulary_of_150_000(read: Read) -> None:
    assert seconds_of(lambda: load("qwen2", read).encode("hello")) < LOAD_SECONDS


def test_loading_llama_3_from_gguf(read: Read) -> None:
    ids = json.loads(read("tokenizers/llama3.2/encoder.json"))
    reserved = [f"<|reserved_special_token_{index}|>" for index in range(256)]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": [*sorted(ids, key=lambda token: ids[token]), *reserved],
        "tokenizer.ggml.token_type": [1] * len(ids) + [3] * len(reserved),
        "tokenizer.ggml.merges": read("tokenizers/llama3.2/vocab.bpe").decode().split("\n")[:-1],
    }
    assert from_gguf(metadata).encode("hello world") == [15339, 1917]
    assert seconds_of(lambda: from_gguf(metadata).encode("hello world")) < LOAD_SECONDS
