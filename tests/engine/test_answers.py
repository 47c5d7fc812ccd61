"""What a request asks for is what its response holds: text, ends, choices, counts."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from engine_tools import EOS, PRINTABLE_ONLY, Teacher, ahead, said

from webllm_py import Engine, RequestError

GREEDY: dict[str, Any] = {"temperature": 0, "logit_bias": PRINTABLE_ONLY}


@pytest.fixture(autouse=True)
def forget(engine: Engine) -> None:
    """Every test begins with an empty cache."""
    engine.loaded.executor.cache.pages.clear()


class TestText:
    async def test_whole_and_streamed_are_the_same(self, engine: Engine) -> None:
        fields = {"prompt": "Once", "max_tokens": 50, "seed": 3, "logit_bias": PRINTABLE_ONLY}
        whole = await engine.completions.create(**fields)
        stream = await engine.completions.create(**fields, stream=True)
        pieces = [piece async for piece in stream]
        assert "".join(piece.choices[0].text for piece in pieces) == whole.choices[0].text
        assert len(whole.choices[0].text) == 50
        reasons = [piece.choices[0].finish_reason for piece in pieces]
        assert reasons == [None] * (len(pieces) - 1) + ["length"]
        assert len({piece.id for piece in pieces} | {whole.id}) == 2
        assert all(piece.usage is None for piece in pieces)

    async def test_chat_whole_and_streamed_are_the_same(self, engine: Engine) -> None:
        fields = {
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 30,
            "seed": 3,
            "logit_bias": PRINTABLE_ONLY,
        }
        whole = await engine.chat.completions.create(**fields)
        assert whole.choices[0].message.role == "assistant"
        options = {"stream": True, "stream_options": {"include_usage": True}}
        stream = await engine.chat.completions.create(**fields, **options)
        *pieces, last = [piece async for piece in stream]
        assert pieces[0].choices[0].delta.role == "assistant"
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert text == whole.choices[0].message.content
        assert len(text) == 30
        assert last.choices == []
        assert last.usage.total_tokens == whole.usage.total_tokens

    async def test_characters_come_whole(self, engine: Engine) -> None:
        """Four tokens to an emoji: nothing until the last of them."""
        text = "aé🙂z"
        stream = await engine.completions.create(
            prompt="x", max_tokens=9, stream=True, logits_processors=[Teacher(text.encode() + b"!")]
        )
        pieces = [piece.choices[0].text async for piece in stream]
        assert [piece for piece in pieces if piece] == [*text, "!"]

    async def test_a_character_cut_off_by_max_tokens_is_a_replacement(self, engine: Engine) -> None:
        reply = await engine.completions.create(
            prompt="x", max_tokens=4, logits_processors=[Teacher("a🙂".encode())]
        )
        assert reply.choices[0].text == "a\ufffd"

    async def test_rows_that_no_token_has_say_nothing(self, engine: Engine) -> None:
        """The made models' tables have more rows than their tokenizer has tokens, as Qwen's has."""
        reply = await engine.completions.create(
            prompt=[65, 259], max_tokens=3, logits_processors=[Teacher([72, 260, 105])]
        )
        assert reply.choices[0].text == "Hi"
        assert reply.usage.completion_tokens == 3

    async def test_echo(self, engine: Engine) -> None:
        plain = await engine.completions.create(prompt="Once", max_tokens=5, **GREEDY)
        echoed = await engine.completions.create(prompt="Once", max_tokens=5, echo=True, **GREEDY)
        assert echoed.choices[0].text == "Once" + plain.choices[0].text
        only = await engine.completions.create(prompt="Once", max_tokens=0, echo=True)
        assert (only.choices[0].text, only.choices[0].finish_reason) == ("Once", "length")
        assert only.usage.completion_tokens == 0

    async def test_an_empty_prompt_begins_with_bos(self, engine: Engine) -> None:
        empty = await engine.completions.create(prompt="", max_tokens=8, **GREEDY)
        bos = await engine.completions.create(prompt=[256], max_tokens=8, **GREEDY)
        assert empty.choices[0].text == bos.choices[0].text
        assert empty.usage.prompt_tokens == 1


class TestEnds:
    async def test_max_tokens(self, engine: Engine) -> None:
        for count in (1, 2, 9, 33):
            reply = await engine.completions.create(prompt="Once", max_tokens=count, **GREEDY)
            assert len(reply.choices[0].text) == reply.usage.completion_tokens == count
            assert reply.choices[0].finish_reason == "length"

    async def test_the_context_ends_an_answer(self, engine: Engine) -> None:
        prompt = "x" * 480
        reply = await engine.completions.create(prompt=prompt, max_tokens=100, **GREEDY)
        assert reply.choices[0].finish_reason == "length"
        assert reply.usage.total_tokens == 500

    async def test_an_end_token(self, engine: Engine) -> None:
        spoken = b"Hello." + bytes(20)
        fields = {"prompt": "x", "max_tokens": 20}
        ended = Teacher([*spoken[:6], EOS, *spoken])
        reply = await engine.completions.create(**fields, logits_processors=[ended])
        assert (reply.choices[0].text, reply.choices[0].finish_reason) == ("Hello.", "stop")
        assert reply.usage.completion_tokens == 7, "the end token was drawn as well"

    async def test_an_end_token_among_steps_in_flight(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Tokens drawn past the end are neither shown nor counted nor kept."""
        ahead(monkeypatch, 1e3)
        bias = {**PRINTABLE_ONLY, EOS: 0}
        for seed in range(200):
            fields = {"prompt": "x", "max_tokens": 60, "seed": seed, "logit_bias": bias}
            reply = await engine.completions.create(**fields)
            if reply.choices[0].finish_reason == "stop":
                break
        text = reply.choices[0].text
        assert 0 < len(text) < 59 and reply.usage.completion_tokens == len(text) + 1
        ignoring = await engine.completions.create(**fields, ignore_eos=True)
        assert ignoring.choices[0].text.startswith(text)
        assert ignoring.usage.completion_tokens == 60

    async def test_ignore_eos(self, engine: Engine) -> None:
        reply = await engine.completions.create(
            prompt="x",
            max_tokens=4,
            ignore_eos=True,
            logits_processors=[Teacher([72, EOS, 105, 33])],
        )
        assert (reply.choices[0].text, reply.choices[0].finish_reason) == ("Hi!", "length")

    @pytest.mark.parametrize("stream", [False, True])
    async def test_stop_strings(self, engine: Engine, stream: bool) -> None:
        """Of a text that is known, every cut falls where str.find says."""
        text = await said(engine, max_tokens=60)
        for start, end in ((0, 1), (5, 7), (30, 34), (57, 60)):
            stop = text[start:end]
            cut = text.find(stop)
            fields = {"prompt": "Once", "max_tokens": 60, "stop": ["\n", stop], **GREEDY}
            if stream:
                fields["stream_options"] = {"include_usage": True}
                *pieces, last = [
                    p async for p in await engine.completions.create(**fields, stream=True)
                ]
                shown = "".join(piece.choices[0].text for piece in pieces)
                reason, usage = pieces[-1].choices[0].finish_reason, last.usage
            else:
                reply = await engine.completions.create(**fields)
                shown = reply.choices[0].text
                reason, usage = reply.choices[0].finish_reason, reply.usage
            assert (shown, reason) == (text[:cut], "stop")
            assert usage.completion_tokens == cut + len(stop)

    async def test_half_a_stop_string_at_the_end_is_shown(self, engine: Engine) -> None:
        reply = await engine.completions.create(
            prompt="x", max_tokens=5, stop="lo!", logits_processors=[Teacher(b"Hello")]
        )
        assert (reply.choices[0].text, reply.choices[0].finish_reason) == ("Hello", "length")

    async def test_tokens_behind_a_stop_are_not_in_the_cache(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The steps in flight when the text stopped are rewound: going on gives the same text."""
        ahead(monkeypatch, 1e3)
        text = await said(engine, max_tokens=60)
        engine.loaded.executor.cache.pages.clear()
        stop = text[20:24]
        cut = text.find(stop)
        assert await said(engine, max_tokens=60, stop=stop) == text[:cut]
        reply = await engine.completions.create(
            prompt="Once" + text[: cut + 4], max_tokens=20, **GREEDY
        )
        assert reply.choices[0].text == text[cut + 4 : cut + 24]
        assert reply.usage.prompt_tokens_details.cached_tokens >= cut


class TestChoices:
    async def test_n_choices_of_a_seed(self, engine: Engine) -> None:
        fields = {"prompt": "Once", "max_tokens": 12, "seed": 7, "logit_bias": PRINTABLE_ONLY}
        three = await engine.completions.create(**fields, n=3)
        assert [choice.index for choice in three.choices] == [0, 1, 2]
        texts = [choice.text for choice in three.choices]
        assert len(set(texts)) == 3
        one = await engine.completions.create(**fields)
        assert one.choices[0].text == texts[0]
        assert three.usage.prompt_tokens == one.usage.prompt_tokens == 5
        assert three.usage.completion_tokens == 36
        assert three.usage.total_tokens == 41

    async def test_n_choices_streamed(self, engine: Engine) -> None:
        fields = {"prompt": "Once", "max_tokens": 12, "seed": 7, "logit_bias": PRINTABLE_ONLY}
        whole = await engine.completions.create(**fields, n=2)
        stream = await engine.completions.create(**fields, n=2, stream=True)
        texts, ends = ["", ""], []
        async for piece in stream:
            choice = piece.choices[0]
            texts[choice.index] += choice.text
            if choice.finish_reason:
                ends.append((choice.index, choice.finish_reason))
        assert texts == [choice.text for choice in whole.choices]
        assert ends == [(0, "length"), (1, "length")]

    async def test_greedy_choices_are_the_same(self, engine: Engine) -> None:
        reply = await engine.completions.create(prompt="Once", max_tokens=6, n=2, **GREEDY)
        assert reply.choices[0].text == reply.choices[1].text

    async def test_several_prompts(self, engine: Engine) -> None:
        alone = [await said(engine, prompt, max_tokens=10) for prompt in ("One", "Two!")]
        reply = await engine.completions.create(
            prompt=["One", "Two!"], max_tokens=10, n=2, **GREEDY
        )
        assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
        texts = [choice.text for choice in reply.choices]
        assert texts == [alone[0], alone[0], alone[1], alone[1]]
        assert reply.usage.prompt_tokens == 4 + 5
        ids = [[256, *b"One"], [256, *b"Two!"]]
        by_id = await engine.completions.create(prompt=ids, max_tokens=10, **GREEDY)
        assert [choice.text for choice in by_id.choices] == alone


class TestUsage:
    async def test_cached_tokens(self, engine: Engine) -> None:
        first = await engine.completions.create(prompt="Once upon a time", max_tokens=4, **GREEDY)
        again = await engine.completions.create(prompt="Once upon a time", max_tokens=4, **GREEDY)
        assert first.usage.prompt_tokens_details.cached_tokens == 0
        assert again.usage.prompt_tokens_details.cached_tokens == 16
        assert again.usage.prompt_tokens == 17
        assert again.choices[0].text == first.choices[0].text

    async def test_timings_fit_together(self, engine: Engine) -> None:
        reply = await engine.completions.create(prompt="y" * 200, max_tokens=20, **GREEDY)
        timings = reply.usage.timings
        assert 0 < timings.time_to_first_token_s < timings.e2e_latency_s
        decoding = timings.e2e_latency_s - timings.time_to_first_token_s
        assert timings.decode_tokens_per_s == pytest.approx(19 / decoding, rel=0.01)
        assert timings.time_per_output_token_s == pytest.approx(decoding / 19, rel=0.01)
        # 201 tokens before the first one was known, which is not before they were computed.
        assert timings.prefill_tokens_per_s >= 200 / timings.time_to_first_token_s


class TestProcessors:
    async def test_one_that_returns_too_little(self, engine: Engine) -> None:
        with pytest.raises(RequestError, match="must return the 263 logits") as caught:
            await engine.completions.create(
                prompt="x", logits_processors=[lambda logits: logits[:5]]
            )
        assert caught.value.param == "logits_processors"

    async def test_one_that_fails(self, engine: Engine) -> None:
        calls = []

        def fails_at_the_third(logits: np.ndarray) -> np.ndarray:
            calls.append(logits)
            if len(calls) == 3:
                raise ZeroDivisionError("the caller's own mistake")
            return logits

        before = await said(engine)
        for options in ({}, {"stream": True}):
            calls.clear()
            with pytest.raises(ZeroDivisionError) as caught:
                reply = await engine.completions.create(
                    prompt="x", logits_processors=[fails_at_the_third], **options
                )
                async for _ in reply:
                    pass
            assert hasattr(caught.value, "_render_traceback_")  # a notebook shows its lines alone
        assert await said(engine) == before

    async def test_several_work_in_order(self, engine: Engine) -> None:
        def only(byte: int) -> Any:
            def processor(logits: np.ndarray) -> np.ndarray:
                logits[:] = -1e9
                logits[byte] = 0
                return logits

            return processor

        reply = await engine.completions.create(
            prompt="x", max_tokens=3, logits_processors=[only(65), only(66)]
        )
        assert reply.choices[0].text == "BBB"

    async def test_one_that_waits_and_is_told_of_tokens(self, engine: Engine) -> None:
        """Of each choice apart: the last token ends it."""

        class Spells:
            """Says b"ab" and ends, however often."""

            def __init__(self) -> None:
                self.told: list[list[int]] = []

            def reset(self) -> None:
                self.told.append([])

            def accept(self, token: int) -> None:
                self.told[-1].append(token)

            async def __call__(self, logits: np.ndarray) -> np.ndarray:
                await asyncio.sleep(0)
                forced = np.full_like(logits, -1e9)
                forced[[*b"ab", EOS][len(self.told[-1])]] = 0
                return forced

        spells = Spells()
        reply = await engine.completions.create(
            prompt="x", max_tokens=9, n=2, logits_processors=[spells]
        )
        assert [choice.text for choice in reply.choices] == ["ab", "ab"]
        assert spells.told == [[*b"ab", EOS]] * 2


async def test_the_longest_prompt(engine: Engine) -> None:
    reply = await engine.completions.create(prompt=[65] * 499, max_tokens=10)
    assert reply.usage.completion_tokens == 1


async def test_logits_of_numpy_s_integers_and_of_a_text(engine: Engine) -> None:
    wanted = await engine.logits(list(b"Hello"))
    assert np.array_equal(await engine.logits(np.frombuffer(b"Hello", np.uint8)), wanted)
    assert np.array_equal(await engine.logits("Hello"), wanted)
    wanted *= 2  # the caller's own
