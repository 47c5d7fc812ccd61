"""What stands below a notebook's cell, and what ``%%llm`` refuses; tests/engine runs the rest."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from webllm_py.api import parse_chat_request
from webllm_py.api.logprobs import ChoiceLogprobs, TokenLogprobs
from webllm_py.api.responses import (
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    FinishReason,
    FunctionCallDelta,
    ToolCallDelta,
    Usage,
)
from webllm_py.errors import RequestError
from webllm_py.notebook import LoadingBar, answer, show
from webllm_py.notebook import bar as notebook_bar
from webllm_py.notebook.answer import EVERY_SECONDS
from webllm_py.notebook.magic import LLMMagic, awaited
from webllm_py.runtime.weights.progress import LoadProgress
from webllm_py.streaming import Stream
from webllm_py.tracebacks import PACKAGE, callers_own


def chunk(*deltas: ChoiceDelta, reason: FinishReason | None = None) -> ChatCompletionChunk:
    """A piece of each choice."""
    choices = [ChunkChoice(delta, index, reason) for index, delta in enumerate(deltas)]
    return ChatCompletionChunk("id", choices, 7, "m")


def call(index: int, name: str | None, arguments: str) -> ChoiceDelta:
    """A piece of a call."""
    identity = name and f"call-{index}"
    function = FunctionCallDelta(arguments, name)
    return ChoiceDelta(tool_calls=[ToolCallDelta(index, function, identity)])


async def pieces(*chunks: ChatCompletionChunk) -> AsyncIterator[Any]:
    for each in chunks:
        yield each
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("apart", "between"), [(EVERY_SECONDS + 0.01, ["**a", "**ab** ", "**ab** c"]), (0, ["**a"])]
)
async def test_an_answer_grows_in_its_place(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, apart: float, between: list[str]
) -> None:
    """With each piece that comes some time behind the one before."""
    clock = itertools.count(1, apart)
    monkeypatch.setattr(answer, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    parts = [chunk(ChoiceDelta(content=text)) for text in ("**a", "b** ", "c")]
    end = ChatCompletionChunk(
        "id", [ChunkChoice(ChoiceDelta(), 0, "stop")], 7, "m", usage=Usage.count(1, 3)
    )
    with capture_output() as captured:
        reply = await show(Stream(pieces(*parts, end)))
    assert reply.choices[0].message.content == "**ab** c"
    assert (reply.choices[0].finish_reason, reply.usage) == ("stop", Usage.count(1, 3))
    assert [output.data.get("text/markdown") for output in captured.outputs] == [
        *(None, *between),
        *(2 if apart else 1) * ["**ab** c\n\n<sub>stop · 3 tokens</sub>"],
    ]
    updates = [output.update for output in captured.outputs]
    assert updates == [False, *[True] * (len(updates) - 1)]
    assert len({output.transient["display_id"] for output in captured.outputs}) == 1


async def test_ipython_in_a_terminal_gets_the_text(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [chunk(ChoiceDelta(content=text)) for text in ("", "**a", "\x1b[2Jb**")]
    await show(Stream(pieces(*parts, chunk(ChoiceDelta(), reason="stop"))))
    assert capsys.readouterr().out == "**a[2Jb**\n"
    await show(Stream(pieces(chunk(ChoiceDelta(content="<a>"), ChoiceDelta(content="b")))))
    assert capsys.readouterr().out.startswith("\n**Choice 0**\n\n<a>")  # renders nothing
    with pytest.raises(TypeError, match="show takes a stream"):
        await show(5)  # type: ignore[arg-type]


async def test_calls_choices_and_thoughts_are_put_together(shell: InteractiveShell) -> None:
    stream = pieces(
        chunk(ChoiceDelta(reasoning_content="One\ntw"), ChoiceDelta(content="a")),
        chunk(ChoiceDelta(reasoning_content="o")),
        chunk(call(0, "f", "")),
        chunk(call(0, None, '{"x": ')),
        chunk(call(0, None, "1}")),
        chunk(call(1, "g", "{}")),
        chunk(ChoiceDelta(), ChoiceDelta(), reason="tool_calls"),
    )
    with capture_output() as captured:
        reply = await show(Stream(stream))
    first, second = reply.choices
    assert (second.index, second.message.content) == (1, "a")
    assert first.message.content is None
    assert first.message.to_dict()["tool_calls"] == [
        {"id": "call-0", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "call-1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    shown = captured.outputs[-1].data["text/markdown"]
    assert shown.startswith("**Choice 0**\n\n> One\n> two\n\n```json\n")


async def test_log_probabilities_are_put_together(shell: InteractiveShell) -> None:
    tokens = [TokenLogprobs(text, -0.5, [*text.encode()], []) for text in "ab"]
    chunks = [
        ChatCompletionChunk(
            "id", [ChunkChoice(ChoiceDelta(content="x"), 0, None, ChoiceLogprobs([token]))], 7, "m"
        )
        for token in tokens
    ]
    with capture_output():
        reply = await show(Stream(pieces(*chunks, chunk(ChoiceDelta(), reason="stop"))))
    assert reply.choices[0].logprobs == ChoiceLogprobs(tokens)


async def test_an_interrupted_cell_ends_its_answer(shell: InteractiveShell) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[Any]:
        try:
            while True:
                yield chunk(ChoiceDelta(content="a"))
                begun.set()
                await asyncio.sleep(0)
        finally:
            ended.set()

    with capture_output():
        cell = asyncio.ensure_future(show(Stream(endless())))
        await begun.wait()
        cell.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cell
    assert ended.is_set()


def test_a_bar_moves_in_its_place(shell: InteractiveShell) -> None:
    with capture_output() as captured:
        bar = LoadingBar()
        bar(LoadProgress("opening", 0, None, None, "Opening <a>"))
        bar(LoadProgress("weights", 250_000, 1_000_000, 1e6, "250 kB of 1 MB, 1 MB/s"))
        bar(LoadProgress("ready", 1_000_000, 1_000_000, 1e6, "Ready"))
    opening, weights, ready = (output.data for output in captured.outputs)
    assert "<progress style" in opening["text/html"]
    assert "Opening &lt;a&gt;</div>" in opening["text/html"]
    assert '<progress value="0.250"' in weights["text/html"]
    assert weights["text/plain"] == "250 kB of 1 MB, 1 MB/s"
    assert ready["text/plain"] == "Ready: 1.00 MB in 0.0 s"
    assert [output.update for output in captured.outputs] == [False, True, True]


def test_each_load_has_a_bar_and_a_time_of_its_own(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago the bar was made, and the load before was over."""
    clock = itertools.count(100, 10)  # what looks at it next sees it 10 s later
    monkeypatch.setattr(notebook_bar, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with capture_output() as captured:
        bar = LoadingBar()
        for _ in range(2):
            bar(LoadProgress("opening", 0, None, None, "Opening"))
            bar(LoadProgress("ready", 1_000_000, 1_000_000, 1e6, "Ready"))
    shown = [(output.data["text/plain"], output.update) for output in captured.outputs]
    assert shown == 2 * [("Opening", False), ("Ready: 1.00 MB in 10.0 s", True)]


def test_only_the_magic_itself_is_awaited() -> None:
    lines = ["get_ipython().run_cell_magic('llm', '', 'a\\n')\n", "x = 1\n"]
    other = ["get_ipython().run_cell_magic('time', '', 'get_ipython()')\n"]
    assert awaited(lines) == ["await " + lines[0], lines[1]]
    assert awaited(other) == other


@pytest.mark.parametrize(
    ("line", "cell", "problem"),
    [
        ("", " \n", "nothing does"),
        ("--engine taken", "Hello", "taken is no engine; `taken = await webllm_py.load"),
        ("--temprature 0", "Hello", "unrecognized arguments: --temprature 0"),
        ("-n many", "Hello", "invalid int value: 'many'"),
        ("--continue --system Hi", "Hello", "not allowed with argument"),
    ],
)
def test_a_wrong_line_is_refused_before_anything_runs(
    shell: InteractiveShell, line: str, cell: str, problem: str
) -> None:
    shell.user_ns["taken"] = 5
    with pytest.raises(UsageError, match=problem):
        LLMMagic(shell).ask(line, cell)


def test_the_extension_comes_and_goes(shell: InteractiveShell) -> None:
    code = "%%llm\nHello"
    shell.extension_manager.load_extension("webllm_py")
    assert shell.transform_cell(code).startswith("await get_ipython()")
    assert "  %%llm [-e NAME]" in (shell.find_cell_magic("llm").__doc__ or "")
    shell.extension_manager.unload_extension("webllm_py")
    assert shell.transform_cell(code).startswith("get_ipython()")
    assert shell.find_cell_magic("llm") is None


HOOK = """
def hook():
    raise RequestError("what was wrong")

hook()
"""


def shown_error(shell: InteractiveShell, code: str, mode: str) -> str:
    """What stands below a cell that fails, without colours."""
    shell.run_line_magic("xmode", mode)
    with capture_output() as captured:
        shell.run_cell(code)
    shell.run_line_magic("xmode", "Context")
    return re.sub(r"\x1b\[[\d;]*m", "", captured.stdout)


def test_an_error_shows_the_caller_s_lines_alone(shell: InteractiveShell) -> None:
    shell.user_ns.update(parse=parse_chat_request, RequestError=RequestError)
    code = "parse({'messages': [], 'temperature': 'x'})"
    short = shown_error(shell, code, "Context")
    assert "Cell In[" in short and "RequestError: 'messages' must hold" in short
    assert "checks.py" not in short
    assert "checks.py" in shown_error(shell, code, "Verbose")
    assert "in hook" in shown_error(shell, HOOK, "Context")


NAMED = """
from contextlib import contextmanager

@contextmanager
def named():
    try:
        yield
    except KeyError:
        raise RequestError("what was wrong") from None

def called(hook):
    with named():
        hook()
"""


def test_what_this_package_calls_of_python_is_none_of_the_caller_s_lines(
    shell: InteractiveShell,
) -> None:
    names: dict[str, object] = {"RequestError": RequestError}
    exec(compile(NAMED, f"{PACKAGE}/named.py", "exec"), names)
    shell.user_ns.update(names)
    code = "import json\n\ndef hook():\n    {}['x']\n\ncalled(hook)"
    short = shown_error(shell, code, "Context")
    assert "Cell In[" in short and "RequestError: what was wrong" in short
    assert "contextlib.py" not in short
    assert "contextlib.py" in shown_error(shell, code, "Verbose")
    code = code.replace("{}['x']", "json.loads('-')").replace("called", "as_called")
    shell.user_ns.update(as_called=callers_own(names["called"]))  # type: ignore[arg-type]
    assert "in loads" in shown_error(shell, code, "Context")  # of what the caller called


def test_an_error_of_a_caller_s_function_shows_the_caller_s_lines_alone(
    shell: InteractiveShell,
) -> None:
    shell.user_ns.update(as_called=callers_own)
    code = "def watch(logits):\n    return logits[9]\n\nas_called(watch)([])"
    short = shown_error(shell, code, "Context")
    assert "in watch" in short and "IndexError: list index out of range" in short
    assert "tracebacks.py" not in short
    assert "tracebacks.py" in shown_error(shell, code, "Verbose")
