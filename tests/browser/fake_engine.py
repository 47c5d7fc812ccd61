"""A test double of the engine, for what the page shows when things are slow, long or broken.

The test server puts this text in front of what the worker runs first, so that it is there in place
of ``webllm_py.load``. What it does is named by the address that is "loaded" and by the question.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import webllm_py
from webllm_py import errors
from webllm_py.runtime.weights.progress import LoadProgress, Stage

HOSTILE = (
    "# <img src=x onerror=alert(1)>\n\n"
    "<script>alert(2)</script> **bold** [click](javascript:alert(3)) [fine](https://example.org)\n\n"
    "| a | b |\n|---|---:|\n| <b>1</b> | 2 |\n\n```html\n<script>alert(4)</script>\n```\n"
)

TABLE = (
    "| Sort | Best | Worst | Remarks |\n|---|---|---|---|\n"
    f"| Merge | n log n | n log n | {'A remark that is wider than any screen. ' * 4}|\n"
)

SAMPLING = ("top_p", "top_k", "min_p", "repetition_penalty", "seed")


class FakeEngine:
    """Refuses what the real one could not do, or what a model with a strict template would."""

    in_memory = 0  # models that are loaded or being loaded

    def __init__(self, name: str) -> None:
        self.info = {
            "name": name,
            "architecture": "fake",
            "quantization": "Q8_0",
            "parameters": 4_200_000,
            "context_length": 1024,
            "gpu_memory": 12_400_000,
            "adapter": "test double",
            "features": ["subgroups"],
            "kernels": "f32, subgroups of 4 or more",
            "vision": "fake" if "sees" in name else None,
        }
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self._answering = False
        self._interrupted = False
        self._lost = False

    def interrupt(self) -> None:
        self._interrupted = self._answering

    async def unload(self) -> None:
        assert not self._answering, "unloaded while it answers"
        await asyncio.sleep(0.02)
        FakeEngine.in_memory -= 1

    async def recover(self) -> None:
        await asyncio.sleep(0.1)
        self._lost = False

    async def _create(self, messages: list[dict[str, Any]], **options: Any) -> Any:
        self._interrupted = False
        system = messages[0]["content"] if messages[0]["role"] == "system" else ""
        turns = messages[1:] if system else messages
        if "refused" in system:
            raise errors.TemplateError("System role not supported (the chat template, line 1)")
        for turn, role in zip(turns, ["user", "assistant"] * len(turns), strict=False):
            if turn["role"] != role:
                raise errors.TemplateError("Conversation roles must alternate")
            turn["content"] = self._read(turn["content"])
            if "too long" in turn["content"]:
                raise errors.ContextLengthError("the prompt has 2000 tokens, the context 1024")
        question = turns[-1]["content"]
        if "lose" in question or self._lost:
            self._lost = True
            raise errors.DeviceLostError("the device was lost: destroyed")
        if "defect" in question:
            raise KeyError("defect")
        if "be late" in question:
            await asyncio.sleep(0.5)
        return self._stream(question, options)

    def _read(self, content: Any) -> str:
        """A text, with a word for each image in it."""
        if isinstance(content, str):
            return content
        if not self.info["vision"]:
            raise errors.ImageError("Fake model reads text only", param="messages[0].content[0]")
        told = []
        for part in content:
            told.append(part["text"] if part["type"] == "text" else part["image_url"]["url"][:15])
        return ", ".join(told)

    async def _stream(self, question: str, options: dict[str, Any]) -> Any:
        self._answering = True
        try:
            count = 0
            yield chunk("", None)
            if "think" in question:
                yield chunk("", None, "Hm, <b>so</b>\n")
                yield chunk("", None, "it is.")
            for piece in pieces(question, options):
                if self._interrupted:
                    break
                await asyncio.sleep(0.004)
                count += 1
                yield chunk(piece, None)
            yield chunk("", "abort" if self._interrupted else finish_of(question))
            usage = {
                "prompt_tokens": 1024 - count if "fill" in question else 20,
                "completion_tokens": count,
                "prompt_tokens_details": {"cached_tokens": 12},
            }
            yield Chunk([], usage)
        finally:
            self._answering = False


def pieces(question: str, options: dict[str, Any]) -> Any:
    if "for ever" in question:
        return (f"word{number} " for number in range(100_000))
    if "hostile" in question:
        return (HOSTILE[at : at + 7] for at in range(0, len(HOSTILE), 7))
    if "a table" in question:
        return iter([TABLE])
    if "options" in question:
        told = f"temperature {options['temperature']}, {options['max_tokens']} tokens"
        return iter([told, *(f", {n} {options[n]}" for n in SAMPLING if n in options)])
    if "nothing" in question:
        return iter([])
    return iter(["You ", "said: ", question])


def finish_of(question: str) -> str:
    return "length" if "fill" in question or "cut" in question else "stop"


class Chunk:
    """What the worker asks of one."""

    def __init__(self, choices: list[Any], usage: Any) -> None:
        self._plain = {"choices": choices, "usage": usage}

    def to_dict(self) -> dict[str, Any]:
        return self._plain


def chunk(text: str, finish: str | None, thought: str | None = None) -> Chunk:
    delta = {"content": text, "reasoning_content": thought}
    return Chunk([{"delta": delta, "finish_reason": finish}], None)


async def fake_load(
    source: Any = None,
    *,
    context_length: int | None = None,
    device: Any = None,
    on_progress: Any = None,
) -> FakeEngine:
    if source in ("missing", "nobody/nothing"):
        raise errors.SourceError("missing: 404 Not Found. There is no such file")
    await device.before_weights()
    assert FakeEngine.in_memory == 0, "two models at once"
    FakeEngine.in_memory += 1
    try:
        await fake_stages(source, on_progress)
    except BaseException:
        await asyncio.sleep(0.1)  # freeing takes its time
        FakeEngine.in_memory -= 1
        raise
    return FakeEngine(name_of(source))


async def fake_stages(source: Any, on_progress: Any) -> None:
    if source == "big":
        raise errors.GPUOutOfMemoryError("7.2 GB are needed for the weights, 4.0 GB were to be had")
    total = 200_000_000 if source == "slow" else 4_000_000

    def report(stage: Stage, loaded: int, text: str) -> None:
        on_progress(
            LoadProgress(stage=stage, loaded=loaded, total=total, bytes_per_second=5e7, text=text)
        )

    for loaded in range(0, total + 1, 1_000_000):
        await asyncio.sleep(0.02)
        report("weights", loaded, "")
    report("kernels", total, "Compiling 3 kernels")
    await asyncio.sleep(60 if source == "slow" else 0)  # until it is cancelled


def name_of(source: Any) -> str:
    if isinstance(source, list):
        paths = sorted(file.webkitRelativePath for file in source)
        return f"{len(source)} files: {', '.join(paths)}"
    return getattr(source, "name", None) or source or "Fake model"


webllm_py.load = fake_load  # type: ignore[attr-defined]
