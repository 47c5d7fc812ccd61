"""Fields that say how a request is answered: prompts that go on, infill, grammars, time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from engine_tools import EOS, PRINTABLE_ONLY, Teacher, said

from webllm_py import Engine, RequestError, RequestTimeoutError
from webllm_py.runtime.generation.run import Run
from webllm_py.tokenizer.infill import Infill

LAST = {"role": "assistant", "content": "The capital "}
USER = {"role": "user", "content": "Hello"}
GREEDY: dict[str, Any] = {"temperature": 0, "logit_bias": PRINTABLE_ONLY, "max_tokens": 12}


async def test_the_last_message_is_continued(engine: Engine) -> None:
    """The prompt is what precedes, byte for byte, and the answer what follows."""
    template = engine.loaded.dialect.prompts
    opened = template.build([USER])
    text = template.build([USER, LAST], add_generation_prompt=False, continue_final_message=True)
    assert text == opened + " The capital "
    chat = await engine.chat.completions.create(
        messages=[USER, LAST], continue_final_message=True, **GREEDY
    )
    plain = await engine.completions.create(prompt=engine.tokenizer.encode(text), **GREEDY)
    assert chat.choices[0].message.content == plain.choices[0].text
    assert chat.usage.prompt_tokens == plain.usage.prompt_tokens


async def test_without_the_opening_of_a_turn(engine: Engine) -> None:
    reply = await engine.chat.completions.create(
        messages=[USER], add_generation_prompt=False, **GREEDY
    )
    opened = await engine.chat.completions.create(messages=[USER], **GREEDY)
    assert reply.usage.prompt_tokens < opened.usage.prompt_tokens


async def test_infill(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="no tokens for filling in") as caught:
        await engine.completions.create(prompt="def f(", suffix="return x")
    assert caught.value.param == "suffix"
    monkeypatch.setitem(engine.tokenizer.__dict__, "infill", Infill(1, 2, 3, frozenset({4})))
    bos = engine.tokenizer.bos_id
    for prompt in ("ab", [97, 98]):
        reply = await engine.completions.create(prompt=prompt, suffix="yz", echo=True, **GREEDY)
        tokens = [bos, 1, *b"ab", 2, *b"yz", 3]
        plain = await engine.completions.create(prompt=tokens, **GREEDY)
        assert reply.choices[0].text == "ab" + plain.choices[0].text
        assert reply.usage.prompt_tokens == 8
    ended = await engine.completions.create(
        prompt="ab", suffix="", max_tokens=9, logits_processors=[Teacher([72, 105, 4, 72])]
    )
    assert (ended.choices[0].text, ended.choices[0].finish_reason) == ("Hi", "stop")
    scored = await engine.completions.create(
        prompt="ab", suffix="yz", echo=True, max_tokens=0, logprobs=0
    )
    assert scored.choices[0].logprobs.tokens == ["a", "b"]


async def test_a_grammar_as_llama_cpp_has_it(engine: Engine) -> None:
    reply = await engine.completions.create(
        prompt="Once", grammar='root ::= "yes" | "no"', temperature=1.5, max_tokens=9
    )
    assert reply.choices[0].text in ("yes", "no")


async def test_forced_text_is_not_drawn(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes through the model in one pass, and what follows is what single steps would give."""
    known = "The answer is: "
    fields: dict[str, Any] = {
        "prompt": "Once",
        "response_format": {"type": "regex", "regex": known + "[0-9]{3}" + known + "[a-z]{4}"},
        "max_tokens": 60,
        "temperature": 0,
        "repetition_penalty": 1.3,
    }
    passes, put = list[int](), Run.put

    async def noted(self: Run, tokens: Sequence[int], **options: bool) -> None:
        passes.append(len(tokens))
        await put(self, tokens, **options)

    monkeypatch.setattr(Run, "put", noted)
    reply = await engine.completions.create(**fields)
    assert len(passes) == 2 and min(passes) > 10
    text = reply.choices[0].text
    assert text[:15] == text[18:33] == known and len(text) == 37
    assert reply.usage.completion_tokens == 38 - (reply.choices[0].finish_reason != "stop")
    monkeypatch.setattr(
        "webllm_py.runtime.generation.constraints.certain", lambda vocabulary, forced: []
    )
    engine.loaded.token_masks.forget_states()
    slow = await engine.completions.create(**fields)
    assert slow.choices[0].text == text
    assert len(passes) == 2, "none of it now"
    monkeypatch.undo()
    engine.loaded.token_masks.forget_states()
    for most in (1, 5, 16, 20):
        cut = await engine.completions.create(**{**fields, "max_tokens": most})
        assert cut.choices[0].text == text[:most]
        assert (cut.usage.completion_tokens, cut.choices[0].finish_reason) == (most, "length")
    # What is cached behind a forced text is right: an answer that goes on from there agrees.
    go_on = await engine.completions.create(prompt="Once" + text, **GREEDY)
    engine.loaded.executor.cache.pages.clear()
    afresh = await engine.completions.create(prompt="Once" + text, **GREEDY)
    assert go_on.choices[0].text == afresh.choices[0].text
    assert go_on.usage.prompt_tokens_details.cached_tokens > 30


def taking(seconds: float) -> Callable[[np.ndarray], np.ndarray]:
    """A logits processor that takes so long and changes nothing."""

    def slow(logits: np.ndarray) -> np.ndarray:
        time.sleep(seconds)
        return logits

    return slow


class TestTimeout:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_an_answer_that_takes_longer(self, engine: Engine, stream: bool) -> None:
        text = ""
        for seconds in (0.3, 3, 30):  # a machine that pauses may have no token before
            with pytest.raises(RequestTimeoutError, match=rf"{seconds} s") as caught:
                reply = await engine.completions.create(
                    prompt="Once",
                    max_tokens=400,
                    timeout=seconds,
                    stream=stream,
                    logits_processors=[taking(seconds / 30)],
                    logit_bias={EOS: -100},
                )
                async for piece in reply:
                    text += piece.choices[0].text
            assert caught.value.to_openai()["error"]["type"] == "timeout_error"
            if text or not stream:
                break
        assert bool(text) is stream
        assert len(await said(engine)) == 40, "the engine answers the next one"

    async def test_waiting_counts(self, engine: Engine) -> None:
        first = asyncio.ensure_future(
            engine.completions.create(
                prompt="Once",
                max_tokens=60,
                logits_processors=[taking(0.01)],
                logit_bias={EOS: -100},
            )
        )
        await asyncio.sleep(0)
        with pytest.raises(RequestTimeoutError):
            await engine.completions.create(prompt="Once", max_tokens=1, timeout=0.05)
        assert (await first).usage.completion_tokens == 60

    async def test_one_that_does_not(self, engine: Engine) -> None:
        assert await said(engine, timeout=60) == await said(engine)
